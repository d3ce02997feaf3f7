"""Drivers: the sources of randomness, their names and numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.scenario.model import Scenario


def number(name: str) -> int:
    """Stable 32-bit number of a driver's dotted name."""
    return int.from_bytes(hashlib.blake2s(name.encode(), digest_size=4).digest(), "little")


def of_paths(scenario: Scenario) -> list[str]:
    """Names of all drivers that are drawn on paths."""
    names = [
        "demand",
        "noise",
        *(f"risks.{r}" for r in scenario.risks),
        *(f"lines.{b}.effectiveness" for b in scenario.lines),
    ]
    for stream in scenario.streams:
        names += [f"streams.{stream}.{end}" for end in ("noise", "customers.lost", "customers.won", "launch.slip")]
    return names


def collisions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names that share a number: their draws would be the same."""
    seen: dict[int, str] = {}
    return [(name, other) for name in names if (other := seen.setdefault(number(name), name)) != name]
