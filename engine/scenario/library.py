"""The scenario files that come along, and what to call scenarios that stand side by side."""

from collections.abc import Sequence
from pathlib import Path

from engine.scenario.load import reference_path
from engine.scenario.model import Scenario


def stress_paths() -> list[Path]:
    """Files of the stress library, by name: each is the reference plan in which something definite goes wrong."""
    return sorted((reference_path().parent / "stress").glob("*.toml"))


def names(scenarios: Sequence[Scenario]) -> list[str]:
    """Names of files without their ending, numbered where one stands there twice."""
    short = [scenario.file.removesuffix(".toml") for scenario in scenarios]
    return [f"{name} ({short[: j + 1].count(name)})" if short.count(name) > 1 else name for j, name in enumerate(short)]
