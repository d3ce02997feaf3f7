"""Batches: what the store costs on top of the kernel."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.cases import REFERENCE, Figure, case
from engine import simulation
from engine.batch import layout, reading, run
from engine.batch.design import Batch, Chunk
from engine.batch.store import writing
from engine.batch.tally import Result
from engine.kernels.layout import PlanArrays
from engine.scenario import arrays

WORLDS, PATHS = 1000, 10_000


class Bare:
    """The kernel alone on the chunks of a batch: plans made before, outputs in one place, nothing kept."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._plans = {chunk: self._plan(chunk) for chunk in batch.chunks()}
        self._out = simulation.allocate(batch.scenarios[0], batch.worlds_at_a_time * batch.paths)

    def _plan(self, chunk: Chunk) -> tuple[simulation.Run, PlanArrays]:
        worlds = self._batch.worlds(np.arange(chunk.start, chunk.stop))
        return simulation.Run(worlds, self._batch.paths, self._batch.seed, 1), arrays.build(worlds)

    def seconds(self, chunk: Chunk) -> float:
        """Simulate a chunk."""
        run, plan = self._plans[chunk]
        started = time.perf_counter()
        out = simulation.narrow(self._out, len(chunk) * self._batch.paths)
        simulation.fill(run, simulation.Chunk(0, len(chunk), 0, self._batch.paths), plan, 0, self._batch.paths, out)
        return time.perf_counter() - started


@case
def batch_store(scale: float) -> list[Figure]:
    """1000 worlds of 10,000 paths into a store, against the kernel alone on the same paths, chunk by chunk in turn."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "batch.toml"
        file.write_text(f'base = "{REFERENCE}"\npaths = {PATHS}\nworlds = {int(WORLDS * scale)}\n')
        batch = reading.load(file)
        bare, alone = Bare(batch), 0.0
        chunks = list(batch.chunks())
        bare.seconds(chunks[0])

        def in_turn() -> Iterator[Result]:
            """Results as they come; after each the kernel alone does the same, on its own clock."""
            nonlocal alone
            for chunk, result in zip(chunks, run.execute(batch, chunks, None, None), strict=True):
                yield result
                alone += bare.seconds(chunk)

        started = time.perf_counter()
        with writing(Path(folder) / "store", layout.of(batch)) as writer:
            run.fulfil(writer, in_turn(), run.COMMIT_SECONDS)
        whole = time.perf_counter() - started - alone
    return [
        Figure(f"{batch.n_worlds} worlds x {PATHS:,} paths, stored / kernel", whole / alone, bar="<= 1.3"),
        Figure("the same, stored", whole, "s"),
    ]
