"""run_batch(): simulate what a store lacks, chunk by chunk, and commit every few seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.batch import layout, reading, tally
from engine.batch.design import Batch, Chunk
from engine.batch.store import MISSING, Store, Writer, exists, writing
from engine.batch.tally import Progress, Result
from engine.errors import Fault, StoreError

if TYPE_CHECKING:
    import xarray as xr

COMMIT_SECONDS = 5.0


def run_batch(
    file: str | Path | Batch,
    store: str | Path,
    *,
    resume: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
    commit_seconds: float = COMMIT_SECONDS,
) -> xr.Dataset:
    """Simulate a batch of worlds into a store.

    Parameters
    ----------
    file : str, Path or Batch
        The batch file.
    store : str or Path
        A folder, made where need be. Where it holds the same batch, finished, nothing is simulated.
    resume : bool, optional
        Go on with a store that was interrupted, simulating only what it lacks. Where there is none it is begun.
    threads : int, optional
        Default: all cores. Never changes a digit.
    progress : callable, optional
        Called with the paths done and to do, of what this call simulates.
    announce : callable, optional
        Called when the kernels take more than a second to compile.
    commit_seconds : float, optional
        Time from one commit to the next: what a kill costs at most, with the chunk in flight. [s]

    Returns
    -------
    xarray.Dataset
        As of `open_batch`.

    Raises
    ------
    ScenarioError
        With all faults of the batch file.
    SimulationError
        If a size makes no sense or the paths of a world do not fit in memory.
    StoreError
        If the store is another batch's, is unfinished and `resume` is not given, is written to by another process, or
        cannot be written. What was committed before stays, and can be gone on with.

    Notes
    -----
    A chunk is some worlds with all their paths (`engine.batch.design.Chunk`), whose digits depend on the batch alone:
    in whatever order, in however many sittings they are computed, the finished store holds the same bits. A world that
    cannot be simulated is recorded with the reason and does not stop the others. An interrupt (Ctrl-C) first commits
    what is done.
    """
    simulation.check(1, None, 0, "random", threads)
    the = file if isinstance(file, Batch) else reading.load(file)
    if exists(store):
        _require_same(Store(store), the, resume)
    with writing(store, layout.of(the)) as writer:
        missing = writer.standing().state == MISSING
        chunks = [chunk for chunk in the.chunks() if missing[chunk.start : chunk.stop].any()]
        if chunks:
            _compile(the, chunks, announce)
            fulfil(writer, execute(the, chunks, threads, progress), commit_seconds)
        return writer.dataset()


def open_batch(store: str | Path) -> xr.Dataset:
    """Read the store of a batch, finished or not, also while it is being written.

    Parameters
    ----------
    store : str or Path
        The folder.

    Returns
    -------
    xarray.Dataset
        By `world`: the coordinates `point` and `draw`, `scenario` where the points are files, and every knob that
        differs between worlds; `state` (0 missing, 1 done, 2 failed), `error`, and each output that was kept with its
        standard error for the paths of the world, in the variable of the same name with `_se`. NaN where a world is
        missing or failed. The attributes hold what reproduces the numbers.

    Raises
    ------
    StoreError
        If there is no store, or it cannot be read.
    """
    return Store(store).dataset()


def execute(the: Batch, chunks: Sequence[Chunk], threads: int | None, progress: Progress | None) -> Iterator[Result]:
    """Results of chunks, one after the other, each on all threads.

    Whatever else computes chunks, on a cluster say, gives results in any order and never touches the store.
    """
    worker, total, done = tally.Worker(the, threads), sum(map(len, chunks)) * the.paths, 0
    for chunk in chunks:
        yield worker.simulate(chunk, tally.onward(progress, done, total))
        done += len(chunk) * the.paths
        if progress is not None:
            progress(done, total)


def fulfil(writer: Writer, results: Iterable[Result], commit_seconds: float) -> None:
    """Commit results as they come, every few seconds, and once more when they end or are broken off."""
    before, started = writer.standing().seconds, time.monotonic()
    committed, waiting = started, list[Result]()

    def commit() -> None:
        nonlocal committed
        if waiting:
            writer.commit(waiting, before + time.monotonic() - started)
            waiting.clear()
        committed = time.monotonic()

    try:
        for result in results:
            waiting.append(result)
            if time.monotonic() - committed >= commit_seconds:
                commit()
    except StoreError:
        raise
    except BaseException:
        commit()
        raise
    commit()


def _compile(the: Batch, chunks: Sequence[Chunk], announce: Callable[[], None] | None) -> None:
    from engine.scenario.worlds import central

    simulation.compile_kernels(simulation.Run(central(the.scenario(chunks[0].start)), the.paths, the.seed, 1), announce)


def _require_same(store: Store, the: Batch, resume: bool) -> None:
    """Refuse a store of another batch, and one that is not finished unless it is to be gone on with."""
    stored = json.loads(store.attrs.get("identity", "{}"))
    faults = [
        Fault(str(store.folder), name, _difference(name, stored.get(name), value), _remedy(name))
        for name, value in the.identity.items()
        if stored.get(name) != value
    ]
    if faults:
        raise StoreError("the store holds another batch, whose numbers would not fit these", faults)
    if resume:
        return
    state = store.standing().state
    missing = int(np.count_nonzero(state == MISSING))
    if missing:
        raise StoreError(
            f"{store.folder}: holds this batch already, {state.size - missing:,} of {state.size:,} worlds; "
            "go on with --resume, or name another folder"
        )


def _difference(name: str, stored: Any, value: Any) -> str:
    if name == "scenario":
        return "the numbers of the scenario are others now"
    if name == "design":
        return "the points of the design are others now"
    return f"{stored} in the store, {value} now"


def _remedy(name: str) -> str:
    return "go on with that version, or begin another store" if name.endswith("_version") else "name another folder"
