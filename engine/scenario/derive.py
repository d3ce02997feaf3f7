"""New scenarios from old ones: other amounts, and the text of a file that extends another."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import ScenarioError
from engine.scenario import changes, load, shape
from engine.scenario.model import Scenario
from engine.scenario.text import dump, inline
from engine.scenario.volume import plan_shares


def with_amounts(
    scenario: Scenario, amounts: Mapping[str, float], source: str, phasing: Mapping[str, Sequence[float]] | None = None
) -> Scenario:
    """The scenario with other amounts of lines and funds.

    Where the plan's revenue path is the one that it expects itself, it stays that of the old amounts: a plan is not
    changed by the money that is moved to meet it. Where the amounts need more than the budget, the budget is raised.

    Parameters
    ----------
    scenario : Scenario
    amounts : mapping of str to float
        By knob, such as ``lines.ads.amount``. [CNY]
    source : str
        What the new numbers come from, for the register.
    phasing : mapping of str to sequence of float, optional
        By line: its weights month by month.

    Raises
    ------
    ScenarioError
        If a name is no line or fund of the scenario.
    """
    raw = tomllib.loads(scenario.resolved_text())
    for knob, amount in amounts.items():
        item = _item_of(raw, scenario, knob)
        table, _, rest = knob.partition(".")
        if getattr(scenario, table)[rest.rpartition(".")[0]].amount.value != amount:
            item["amount"] = {"value": _plain(amount), "source": source}
    for line, weights in (phasing or {}).items():
        _item_of(raw, scenario, f"lines.{line}.phasing")["phasing"] = [
            {"value": _plain(share, 6), "source": source} if source else share for share in weights
        ]
    if scenario.plan.phasing is None:
        raw["plan"]["phasing"] = [float(share) for share in plan_shares(scenario)[0]]
    budget, spent = scenario.plan.budget, sum(amounts.values())
    if budget is not None and spent > budget.central() * (1.0 + 1e-9):
        raw["plan"]["budget"] = {"value": _plain(spent), "source": source}
    found, faults = load.build(raw, scenario.file)
    if found is None or faults:
        raise ScenarioError(faults=faults)
    return found


def with_knob(scenario: Scenario, name: str, value: float) -> Scenario:
    """The scenario with one knob at a plain number, whatever it was: what ``--set`` makes of a file.

    Raises
    ------
    ScenarioError
        If there is no such knob, or the scenario does not hold with this number.
    """
    raw = tomllib.loads(scenario.resolved_text())
    fault = changes.apply(raw, f"{name}={float(value)!r}")
    if fault is not None:
        raise ScenarioError(faults=[fault])
    found, faults = load.build(raw, scenario.file)
    if found is None or faults:
        raise ScenarioError(faults=faults)
    return found


def _item_of(raw: dict[str, Any], scenario: Scenario, knob: str) -> dict[str, Any]:
    """Table of the line or fund that a knob belongs to."""
    table, _, rest = knob.partition(".")
    name = rest.rpartition(".")[0]
    if table not in ("lines", "funds") or name not in raw.get(table, {}):
        raise ScenarioError(f"{scenario.file}: there is no {knob}")
    item: dict[str, Any] = raw[table][name]
    return item


def _plain(value: float, digits: int = 12) -> int | float:
    """A number as it is to stand in a file: without the last digits, which are rounding."""
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short


def extension(scenario: Scenario, parent: Path, folder: Path, comment: str = "") -> str:
    """TOML text of a file in `folder` that extends the file `parent` and says what `scenario` has otherwise."""
    old = tomllib.loads(load.load(parent).resolved_text())
    new = tomllib.loads(scenario.resolved_text())
    head = [f"# {line}" for line in comment.splitlines()]
    extends = Path(os.path.relpath(parent.resolve(), folder.resolve())).as_posix()
    return "\n".join([*head, f"extends = {inline(extends)}", "", dump(_difference(old, new, shape.ROOT))])


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """What of `new` is not in `old`: tables key by key, all else as a whole."""
    found = {}
    for key, value in new.items():
        before, below = old.get(key), shape.inner(kind, key)
        if value == before:
            continue
        if shape.is_table(below) and isinstance(value, Mapping) and isinstance(before, Mapping):
            found[key] = _difference(before, value, below)
        else:
            found[key] = value
    return found
