"""Batches beyond one machine: what a path, a world, a part, a message and a commit cost, and what follows for many."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.cases import REFERENCE, Figure, case
from engine import simulation
from engine.batch import cluster, layout, reading
from engine.batch.design import Batch, Chunk, Part
from engine.batch.store import writing
from engine.batch.tally import Gathering, Result, Summary, Worker
from engine.scenario import arrays

KEEP = '["p_attain", "revenue", "shortfall", "fund_need", "gross_margin", "revenue_quantiles", "shortfall_quantiles"]'
PATHS, WORLDS, MACHINES = 1_000_000_000, 10_000, 100  # of the plan
SHORT = 13  # worlds of a part, where they have 10,000 paths
AHEAD = 2 * MACHINES  # of each of the workers here
PARTS = 3000  # of no work, to see what sharing out takes


def _batch(folder: str, paths: int, worlds: int = WORLDS, part_paths: int | None = None) -> Batch:
    file = Path(folder) / "batch.toml"
    part = "" if part_paths is None else f"part_paths = {part_paths}\n"
    file.write_text(f'base = "{REFERENCE}"\npaths = {paths}\nworlds = {worlds}\nkeep = {KEEP}\n{part}')
    return reading.load(file)


class Idle(cluster.Bench):
    """A worker that has the answer already, as large as one of a full part."""

    answer: bytes

    def setup(self, worker: object) -> None:
        super().setup(worker)
        self._answer: Summary = pickle.loads(self.answer)

    def ready(self) -> None:
        """Nothing to do."""

    def reduce(self, part: Part) -> Summary:
        """The answer."""
        return replace(self._answer, part=part, which=np.array([part.chunk.start]))


@contextmanager
def _idle(answer: Summary) -> Iterator[None]:
    """Workers that do nothing; the answer goes with the bench."""

    def make(*arguments: object) -> Idle:
        bench = Idle(*arguments)  # type: ignore[arg-type]
        bench.answer = pickle.dumps(answer)
        return bench

    with patch.object(cluster, "Bench", make):
        yield


@case
def scale(scale: float) -> list[Figure]:
    """1e9 paths x 1e4 worlds on 100 machines such as this, from what their pieces cost here."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        plan = _batch(folder, PATHS)
        part = replace(next(plan.parts(Chunk(0, 1))), n_paths=int(plan.part_paths * scale))
        worker = Worker(plan, threads=1)
        answer = worker.reduce(part)
        path = _processor_time(lambda: worker.reduce(part), repeats=3) / len(part)
        alone = _processor_time(_kernel(plan, part), repeats=3) / len(part)
        machine = _machine(_batch(folder, 2 * cores * len(part), 1, len(part)), cores)
        world, among = _world(plan), _world(plan, SHORT)
        sharing = _sharing(_batch(folder, 100 * 4096, 1 + int(PARTS * scale) // 100, 4096), answer, cores)
        merging = _merging(plan, answer)
        commit, bytes_stored = _commit(folder, plan, int(WORLDS * scale))
        sent, came, batch = (len(pickle.dumps(what)) for what in (part, answer, plan))
    parts = WORLDS * -(-PATHS // plan.part_paths)
    hours = machine * PATHS * WORLDS / MACHINES / 3600
    rate = parts / (3600 * hours)
    return [
        Figure("a path, reduced, on one thread", 1e6 * path, "us"),
        Figure("of that, the kernel", 1e6 * alone, "us"),
        Figure(f"a path, reduced, on this machine by {cores} workers", 1e6 * machine, "us"),
        Figure("a world: drawn, placed, made arrays", 1e3 * world, "ms"),
        Figure(f"the same, {SHORT} at a time", 1e3 * among, "ms"),
        Figure("of one alone, of what a part takes", 100 * world / (path * plan.part_paths), "%"),
        Figure("a part: sharing out, coordinator and scheduler", 1e3 * sharing, "ms"),
        Figure("of that, merging what it says", 1e3 * merging, "ms"),
        Figure("sent for a part", sent, "bytes"),
        Figure("comes back for a part", came / 1e3, "kB"),
        Figure("the batch, sent once to each worker", batch / 1e3, "kB"),
        Figure(f"a commit of {int(WORLDS * scale):,} worlds", commit, "s"),
        Figure("a world in the store", bytes_stored, "bytes"),
        Figure(f"{PATHS:.0e} paths x {WORLDS:.0e} worlds, {MACHINES} machines", hours, "h"),
        Figure("parts of it", parts / 1e6, "million"),
        Figure("parts a second, needed", rate, "1/s"),
        Figure("parts a second, one coordinator can do", 1 / sharing, "1/s"),
        Figure("load of the coordinator", 100 * rate * sharing, "%"),
        Figure("what comes to the coordinator", rate * came / 1e6, "MB/s"),
    ]


def _kernel(the: Batch, part: Part) -> Callable[[], None]:
    """The kernel alone on the paths of a part, on one thread: nothing is kept."""
    worlds = the.worlds(np.array([part.chunk.start]))
    run, made = simulation.Run(worlds, part.n_paths, the.seed, 1), arrays.build(worlds)
    memory = simulation.allocate(worlds.scenario, simulation.CHUNK_PATHS)

    def work() -> None:
        simulation.set_threads(1)
        for piece in simulation.chunks(1, part.path, part.n_paths):
            out = simulation.narrow(memory, piece.n_paths)
            simulation.fill(run, piece, made, 0, piece.n_paths, out)
        simulation.set_threads(None)

    return work


def _processor_time(work: Callable[[], object], repeats: int) -> float:
    """Least seconds that this process computes for a piece of work: what else runs on the machine does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def _machine(the: Batch, cores: int) -> float:
    """Seconds a path of a machine with a worker on every core that does nothing else, by the workers' own clocks."""
    with cluster._silence(), cluster._local(cores) as client, cluster.connected(client, 1) as workers:
        chunks = list(the.chunks())

        def spent() -> float:
            list(workers.execute(the, chunks, None))
            return sum(client.run(time.process_time).values())

        before = spent()
        return (spent() - before) / (the.paths * len(chunks)) / cores


def _world(the: Batch, at_a_time: int = 1) -> float:
    """Seconds that the numbers of a world take before its first path."""
    firsts = iter(range(0, WORLDS, at_a_time))
    return _processor_time(lambda: arrays.build(the.worlds(next(firsts) + np.arange(at_a_time))), 50) / at_a_time


def _sharing(the: Batch, answer: Summary, cores: int) -> float:
    """Seconds that coordinator and scheduler, both in this process, compute for a part that workers have done at once.

    As many parts are underway as with all machines.
    """
    with cluster.connected(f"local:{cores}", 1) as workers, _idle(answer), patch.object(cluster, "_AHEAD", AHEAD):
        stamps: list[float] = []
        list(workers.execute(the, list(the.chunks()), lambda *_: stamps.append(time.process_time())))
    settled = len(stamps) // 10
    return (stamps[-1] - stamps[settled]) / (len(stamps) - 1 - settled)


def _merging(the: Batch, answer: Summary) -> float:
    """Seconds to merge what a part says into what those before said."""
    count = 200

    def work() -> None:
        gathering = Gathering(the)
        for j in range(count):
            gathering.add(replace(answer, part=replace(answer.part, index=j)))

    return _processor_time(work, repeats=5) / count


def _commit(folder: str, plan: Batch, worlds: int) -> tuple[float, float]:
    """Seconds of a commit of all worlds, and bytes that one takes in the store, whose own size is left out."""
    the = replace(plan, draws=worlds)
    rng = np.random.default_rng(1)
    whole = layout.of(the)
    values = {name: rng.normal(1e9, 1e8, shape) for name, (_, shape, _) in whole.variables.items()}
    store = Path(folder) / "store"
    with writing(store, whole) as writer:
        before = _size(store)
        started = time.perf_counter()
        writer.commit([Result(0, worlds, values, {})], 0.0)
        return time.perf_counter() - started, (_size(store) - before) / worlds


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
