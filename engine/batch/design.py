"""A batch: which worlds it simulates, and the chunks in which it does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from engine import simulation
from engine.dataset import versions
from engine.scenario import knobs, library
from engine.scenario import worlds as scenario_worlds
from engine.scenario.model import Scenario
from engine.scenario.worlds import Worlds

GIVES_OTHER_DIGITS = ("engine_version", "numpy_version", "scipy_version", "numba_version")
PART_PATHS = 8 * simulation.CHUNK_PATHS  # seconds of work: what sharing out a part costs is little beside it


@dataclass(frozen=True)
class Chunk:
    """Worlds start..stop-1 of a batch, all on one scenario: the smallest piece of what is stored."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Part:
    """The smallest piece of work: `n_paths` paths of each world of a chunk, from the path `path` on.

    It is the part `index` of `of`: 0 of 1 where the worlds are whole.
    """

    chunk: Chunk
    index: int
    of: int
    path: int
    n_paths: int

    def __len__(self) -> int:
        return len(self.chunk) * self.n_paths


@dataclass(frozen=True)
class Batch:
    """The points of a design, each in so many draws of what else is uncertain: point by point, draw by draw.

    A batch with its chunks is all that is needed to compute it anywhere: it holds no open file, and can be sent.

    Attributes
    ----------
    name, file, text : str
        Title, name and content of the batch file.
    scenarios : tuple of Scenario
        The base; or one scenario a point, where the batch is a list of files.
    points : int
    draws : int
        Worlds of each point: 1 is the central one.
    paths : int
        Of each world.
    seed : int
    common_paths : bool
        All worlds on the stream 0; else world w on the stream w + 1.
    keep : tuple of str
        Outputs, names of `names.SUMMARIES`, some with the suffix `names.QUANTILES`.
    given : mapping of str to ndarray, shape (points,)
        Knobs that the design sets outright.
    places : mapping of str to ndarray, shape (points,)
        Uncertain knobs that the design places in their distributions, as probabilities.
    part_paths : int
        Longer worlds are simulated in parts of so many paths, anywhere, in any order. Where the parts begin depends on
        the batch alone, and so do the digits.
    """

    name: str
    file: str
    text: str
    scenarios: tuple[Scenario, ...]
    points: int
    draws: int
    paths: int
    seed: int
    common_paths: bool
    keep: tuple[str, ...]
    given: Mapping[str, np.ndarray]
    places: Mapping[str, np.ndarray]
    part_paths: int = PART_PATHS

    def __getstate__(self) -> dict[str, Any]:
        """What is sent: no more than what all the rest is worked out from."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def n_worlds(self) -> int:
        return self.points * self.draws

    @property
    def of_files(self) -> bool:
        """Whether the points are scenario files."""
        return len(self.scenarios) > 1

    @property
    def names(self) -> list[str]:
        """What the scenarios are called."""
        return library.names(self.scenarios)

    @cached_property
    def knobs(self) -> tuple[str, ...]:
        """Knobs that differ between worlds: those of the design, then those that are drawn."""
        drawn = [name for s in self.scenarios for name in knobs.uncertain(s)] if self.draws > 1 else []
        return tuple(dict.fromkeys((*self.given, *self.places, *drawn)))

    @property
    def worlds_at_a_time(self) -> int:
        """Worlds of a chunk, at most."""
        return min(max(1, simulation.CHUNK_PATHS // self.paths), simulation.PREPARED_WORLDS)

    @property
    def is_split(self) -> bool:
        """Whether worlds are simulated in several parts; their quantiles are then read off a grid."""
        return self.paths > self.part_paths

    def parts(self, chunk: Chunk) -> Iterator[Part]:
        """The pieces of work of a chunk, in order; one, unless its worlds are split."""
        of = -(-self.paths // self.part_paths)
        for index in range(of):
            path = index * self.part_paths
            yield Part(chunk, index, of, path, min(self.part_paths, self.paths - path))

    def chunks(self) -> Iterator[Chunk]:
        """All worlds, in order. Where the chunks begin depends on the batch alone."""
        step = self.worlds_at_a_time
        span = self.draws if self.of_files else self.n_worlds
        for first in range(0, self.n_worlds, span):
            for start in range(first, first + span, step):
                yield Chunk(start, min(start + step, first + span))

    def scenario(self, world: int) -> Scenario:
        """The scenario of a world."""
        return self.scenarios[world // self.draws if self.of_files else 0]

    def worlds(self, which: np.ndarray) -> Worlds:
        """Some worlds, all on one scenario.

        Parameters
        ----------
        which : ndarray of int

        Raises
        ------
        ScenarioError
            If one of them breaks what holds in every scenario; see `engine.scenario.worlds.place`.
        """
        index = int(which[0]) // self.draws if self.of_files else 0
        point, draw = which // self.draws, which % self.draws
        at = {name: values[draw] for name, values in self._draws[index].items()}
        at |= {name: values[point] for name, values in self.places.items()}
        given = {name: values[point] for name, values in self.given.items()}
        streams = np.zeros(which.size, np.uint64) if self.common_paths else (which + 1).astype(np.uint64)
        return scenario_worlds.place(self.scenarios[index], at, given, streams)

    @cached_property
    def _draws(self) -> list[dict[str, np.ndarray]]:
        """Where the draws stand in the distributions of each scenario."""
        return [scenario_worlds.places(scenario, self.draws, self.seed) for scenario in self.scenarios]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the digits of a batch, in words that say what differs where two batches do."""
        found = versions()
        return {
            "scenario": " ".join(scenario.hash for scenario in self.scenarios), "paths": self.paths,
            "worlds": self.draws, "seed": str(self.seed), "common_paths": self.common_paths,
            "keep": " ".join(self.keep), "design": self._fingerprint(),
            "part_paths": min(self.part_paths, self.paths),  # more than all paths are all paths
            **{name: found[name] for name in GIVES_OTHER_DIGITS},
        }  # fmt: skip

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(str(self.points).encode())
        for kind in (self.given, self.places):
            for name, values in kind.items():
                digest.update(f" {name} ".encode() + np.ascontiguousarray(values, "<f8").tobytes())
            digest.update(b";")
        return digest.hexdigest()
