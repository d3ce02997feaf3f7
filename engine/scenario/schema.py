"""The JSON Schema of a quantity, and its place in the schema of a scenario."""

from __future__ import annotations

from typing import Any

from engine.scenario.distributions import FAMILIES

_REF = {"$ref": "#/$defs/Quantity"}
_MEANINGS = {
    "uniform": "[low, high]",
    "triangular": "[low, mode, high]",
    "pert": "[low, mode, high], lambda 4",
    "normal": "[mean, sd]",
    "lognormal": "[median, p95]",
    "beta": "[a, b]",
    "quantiles": "Values by probability, with low and high.",
    "samples": 'Numbers, or "file.csv:column".',
    "scipy": "name, shape parameters, loc and scale of a continuous distribution of scipy.stats.",
    "mixture": "Components: a weight and one distribution each.",
}


def _family(name: str) -> dict[str, Any]:
    count = FAMILIES[name].count
    if count:
        shape: dict[str, Any] = {"type": "array", "items": _REF, "minItems": count, "maxItems": count}
    elif name == "quantiles":
        shape = {"type": "object", "additionalProperties": _REF, "required": ["low", "high"]}
    elif name == "samples":
        shape = {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}
    elif name == "scipy":
        shape = {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
            "additionalProperties": _REF,
        }
    else:
        shape = {"type": "array", "items": {"type": "object"}}
    return shape | {"description": _MEANINGS[name]}


def quantity_schema() -> dict[str, Any]:
    """JSON Schema of a quantity."""
    properties = {
        "value": {"type": "number"},
        **{name: _family(name) for name in FAMILIES},
        "truncate": {
            "type": "array",
            "items": _REF,
            "minItems": 2,
            "maxItems": 2,
            "description": "Condition on [low, high].",
        },
        "source": {"type": "string", "description": 'Where the number is from; "assumption: ..." marks it as assumed.'},
        "note": {"type": "string", "description": "Why."},
        "per": {"const": "world", "description": "Draw once a world what else is drawn on every path."},
    }
    either = [{"required": [name]} for name in ("value", *FAMILIES)]
    table = {"type": "object", "properties": properties, "additionalProperties": False, "oneOf": either}
    return {"description": "A number, or a distribution in its place.", "anyOf": [{"type": "number"}, table]}


def with_quantities(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the schema of a quantity where the models have left a mark."""

    def replaced(node: Any) -> Any:
        if isinstance(node, dict):
            if node.get("x-quantity"):
                rest = {k: v for k, v in node.items() if k not in ("x-quantity", "default")}
                return {**_REF, **rest}
            return {key: replaced(value) for key, value in node.items()}
        return [replaced(item) for item in node] if isinstance(node, list) else node

    found = replaced(schema)
    found.setdefault("$defs", {})["Quantity"] = quantity_schema()
    return found
