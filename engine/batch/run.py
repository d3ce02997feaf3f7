"""run_batch(): simulate what a store lacks, chunk by chunk, and commit every few seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.batch import layout, place, reading, tally
from engine.batch.design import Batch, Chunk
from engine.batch.store import MISSING, Store, Writer, exists, writing
from engine.batch.tally import Progress, Result
from engine.errors import Fault, StoreError

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

    from engine.batch.cluster import Cluster

COMMIT_SECONDS = 5.0


def run_batch(
    file: str | Path | Batch,
    store: str | Path,
    *,
    resume: bool = False,
    threads: int | None = None,
    dask: str | Client | None = None,
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
        Default: all cores. Never changes a digit. With `dask` those of each worker; default: ``local:N`` shares the
        cores out, else as many as Dask gave the worker.
    dask : str or distributed.Client, optional
        Where to simulate: ``local:4`` for four processes of this machine, the address of a scheduler such as
        ``tcp://10.0.0.1:8786``, or a client. Never changes a digit: a store may be begun here and gone on with there.
        With ``local:4`` a program of yours must guard its work by ``if __name__ == "__main__":``, as any that starts
        processes.
    progress : callable, optional
        Called with the paths done and to do, of what this call simulates.
    announce : callable, optional
        Called when the kernels take more than a second to compile, or workers more than ten to get ready.
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
    ClusterError
        If the workers cannot be reached, are of another version or are lost; likewise.

    Notes
    -----
    What is committed is a chunk, some worlds with all their paths (`engine.batch.design.Chunk`), whose digits depend on
    the batch alone: in whatever order, in however many sittings, wherever they are computed, the finished store holds
    the same bits. A world that cannot be simulated is recorded with the reason and does not stop the others. An
    interrupt (Ctrl-C) first commits what is done.
    """
    simulation.check(1, None, 0, "random", threads)
    the = file if isinstance(file, Batch) else reading.load(file)
    is_finished = exists(store) and _require_same(Store(store), the, resume)
    with ExitStack() as stack:
        cluster = None if dask is None or is_finished else stack.enter_context(_connected(dask, threads))
        writer = stack.enter_context(writing(store, layout.of(the)))
        missing = writer.standing().state == MISSING
        chunks = [chunk for chunk in the.chunks() if missing[chunk.start : chunk.stop].any()]
        if chunks:
            _compile(the, chunks, announce)
            results = (
                execute(the, chunks, threads, progress)
                if cluster is None
                else cluster.execute(the, chunks, progress, announce)
            )
            fulfil(writer, stack.enter_context(closing(results)), commit_seconds)
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


def _connected(dask: str | Client, threads: int | None) -> AbstractContextManager[Cluster]:
    """Workers elsewhere. Dask is imported where it is asked for: it takes a second."""
    place.require_packages()
    from engine.batch import cluster

    return cluster.connected(dask, threads)


def execute(
    the: Batch, chunks: Sequence[Chunk], threads: int | None, progress: Progress | None
) -> Generator[Result, None, None]:
    """Results of chunks, one after the other, each on all threads.

    Whatever else computes chunks, such as `engine.batch.cluster`, gives results in any order and never touches the
    store.
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


def _require_same(store: Store, the: Batch, resume: bool) -> bool:
    """Refuse a store of another batch, and one that is not finished unless it is to be gone on with.

    Returns whether it is finished.
    """
    stored = json.loads(store.attrs.get("identity", "{}"))
    faults = [
        Fault(str(store.folder), name, _difference(name, stored.get(name), value), _remedy(name))
        for name, value in the.identity.items()
        if stored.get(name) != value
    ]
    if faults:
        raise StoreError("the store holds another batch, whose numbers would not fit these", faults)
    state = store.standing().state
    missing = int(np.count_nonzero(state == MISSING))
    if missing and not resume:
        raise StoreError(
            f"{store.folder}: holds this batch already, {state.size - missing:,} of {state.size:,} worlds; "
            "go on with --resume, or name another folder"
        )
    return missing == 0


def _difference(name: str, stored: Any, value: Any) -> str:
    if name == "scenario":
        return "the numbers of the scenario are others now"
    if name == "design":
        return "the points of the design are others now"
    return f"{stored} in the store, {value} now"


def _remedy(name: str) -> str:
    return "go on with that version, or begin another store" if name.endswith("_version") else "name another folder"
