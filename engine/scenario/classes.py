"""Exposure classes: streams that a risk treats alike; profiles: streams that all risks treat alike."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from engine.scenario import selectors
from engine.scenario.model import Scenario


@dataclass(frozen=True)
class Classes:
    """Exposure classes: the streams of each exposure entry. Profiles: streams that share all classes.

    Groups: classes of more than one profile. The places of the bases are those of the profiles, then of the groups,
    then of the streams that share their profile.
    """

    risk: list[int]
    entry: list[str]
    members: list[list[int]]
    profiles: list[tuple[int, ...]]
    profile_of: list[int]
    groups: list[tuple[int, ...]]

    @classmethod
    def of(cls, scenario: Scenario) -> Classes:
        ids = list(scenario.streams)
        risk_of: list[int] = []
        entry: list[str] = []
        members: list[list[int]] = []
        held: list[list[int]] = [[] for _ in ids]
        for r, risk in enumerate(scenario.risks.values()):
            chosen = selectors.resolve(risk.exposure, scenario.streams)
            for text in risk.exposure:
                inside = [i for i, stream in enumerate(ids) if chosen[stream] == text]
                for i in inside:
                    held[i].append(len(risk_of))
                if inside:
                    risk_of.append(r)
                    entry.append(text)
                    members.append(inside)
        keys = [tuple(h) for h in held]
        profiles = list(dict.fromkeys(keys))
        classes = [tuple(g for g, key in enumerate(profiles) if c in key) for c in range(len(risk_of))]
        groups = sorted({c for c in classes if len(c) > 1}, key=lambda group: (len(group), group))
        return cls(risk_of, entry, members, profiles, [profiles.index(key) for key in keys], groups)

    def streams_of(self, profile: int) -> list[int]:
        """Streams of one profile."""
        return [i for i, g in enumerate(self.profile_of) if g == profile]

    def place_of(self, entry: int) -> int:
        """Place of one class: of its only profile, or of its group."""
        mine = tuple(g for g, key in enumerate(self.profiles) if entry in key)
        return mine[0] if len(mine) == 1 else len(self.profiles) + self.groups.index(mine)

    def parts(self) -> list[list[int]]:
        """Places of what each group is summed from: profiles, and smaller groups, the largest that fit in."""
        parts = []
        for u, group in enumerate(self.groups):
            left, mine = set(group), []
            for v in reversed(range(u)):
                if left.issuperset(self.groups[v]):
                    left.difference_update(self.groups[v])
                    mine.append(len(self.profiles) + v)
            parts.append(sorted(left) + mine)
        return parts

    def places(self) -> list[int]:
        """Place of each stream: its profile's, unless others share it."""
        shared = itertools.count(len(self.profiles) + len(self.groups))
        return [g if self.profile_of.count(g) == 1 else next(shared) for g in self.profile_of]
