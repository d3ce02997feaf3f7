"""Chunks of a batch on a cluster: the one home of Dask.

The batch is sent to each worker process once; after that a piece of work is a few numbers and what comes back is small.
Workers only compute. What they say is a function of batch and part alone, so that a part may be done twice, or again
elsewhere where a worker has died, and the digits are those of any other way to work through the batch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import platform
import signal
import uuid
from asyncio import CancelledError
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Timer
from time import monotonic
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin, get_worker

import engine
from engine.batch import place, tally
from engine.batch.design import GIVES_OTHER_DIGITS, Batch, Chunk, Part
from engine.batch.tally import Gathering, Progress, Result, Summary
from engine.dataset import versions
from engine.errors import ClusterError, EngineError, Fault

CONNECT_SECONDS = 10.0
WORKERS_SECONDS = 60.0  # until the first worker is there
PATIENCE_SECONDS = 300.0  # without any worker, once they had been there
QUIET_SECONDS = 10.0  # until it is announced that workers are getting ready
_AHEAD = 2  # pieces of work for each thread of a worker: one to do, and one to go on with
_LOOK_SECONDS = 5.0  # from one count of the workers to the next
_FAILURES = 10  # workers that may die over one part before it is taken to be what kills them
_PROBE_PATHS = 1024
_LISTED = 5
_SILENT = logging.CRITICAL + 1


def identity() -> dict[str, str]:
    """All that decides the digits of a batch besides the batch: versions, source and kind of machine."""
    digest = hashlib.sha256()
    package = Path(str(engine.__file__)).parent
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    found = versions()
    return {name: found[name] for name in GIVES_OTHER_DIGITS} | {
        "source": digest.hexdigest()[:16], "machine": platform.machine(),
    }  # fmt: skip


class Bench(WorkerPlugin):
    """What a worker process has of a batch; sent to every one, also to those that join later.

    Parameters
    ----------
    batch : bytes
        Pickled: it is read only where the worker is known to be of the same version.
    threads : int or None
        Of the worker; None for as many as Dask gave it.
    ours : dict
        `identity` of who sends it.
    probe : str
        `fingerprint` of who sends it.
    """

    def __init__(self, batch: bytes, threads: int | None, ours: dict[str, str], probe: str) -> None:
        self._batch, self._threads, self._ours, self._probe = batch, threads, ours, probe

    def setup(self, worker: Any) -> None:
        """On the worker, before its first piece of work."""
        self._address, self._lock = worker.address, Lock()
        self._simulator: tally.Worker | None = None
        if self._threads is None:
            self._threads = worker.state.nthreads

    def _ready(self) -> tally.Worker:
        """Whoever does the work here; the first time it is made sure that the digits are the same."""
        if self._simulator is None:
            faults = differences({self._address: identity()}, self._ours)
            if faults:
                raise _refusal(faults)
            batch = pickle.loads(self._batch)
            simulator = tally.Worker(batch, self._threads)
            if fingerprint(simulator, batch) != self._probe:
                message = "gives other digits for the same paths"
                remedy = "take machines of one kind, or begin another store there"
                raise _refusal([Fault(self._address, "", message, remedy)])
            self._simulator = simulator
        return self._simulator

    def reduce(self, part: Part) -> Summary:
        """One part at a time, on all threads of the process: the kernels' memory is there once."""
        with self._lock:
            return self._ready().reduce(part)

    def ready(self) -> None:
        """Load or compile the kernels."""
        with self._lock:
            self._ready()


def _bench(name: str) -> Bench:
    """The bench of the worker that this runs on."""
    found = get_worker().plugins[name]
    assert isinstance(found, Bench)
    return found


def _reduce(part: Part, bench: str) -> Summary:
    return _bench(bench).reduce(part)


def _ready(bench: str) -> None:
    _bench(bench).ready()


def fingerprint(simulator: tally.Worker, batch: Batch) -> str:
    """Digest of what the first paths of the first world say."""
    paths = min(_PROBE_PATHS, batch.paths)
    found = simulator.reduce(Part(Chunk(0, 1), 0, 1, 0, paths))
    digest = hashlib.sha256(repr(found.errors).encode())
    for rows in (found.values, found.sums):
        for name in sorted(rows):
            digest.update(name.encode() + rows[name].tobytes())
    for name in sorted(found.histograms):
        for counted in found.histograms[name]:
            digest.update(f"{name} {counted.first} ".encode() + counted.counts.tobytes())
    return digest.hexdigest()


def differences(found: dict[str, Any], ours: dict[str, str]) -> list[Fault]:
    """What tells workers from us, by their addresses: an `identity`, or the error met in asking for it."""
    faults = []
    for address, theirs in found.items():
        if isinstance(theirs, BaseException):
            message = f"cannot load attain there: {theirs}"
            faults.append(Fault(address, "", message, "install the same version there"))
            continue
        faults += [
            Fault(address, name, f"{theirs.get(name)} there, {value} here", "install the same version there")
            for name, value in ours.items()
            if theirs.get(name) != value
        ]
    return faults


def _refusal(faults: Sequence[Fault]) -> ClusterError:
    more = f", {_LISTED} of them listed" if len(faults) > _LISTED else ""
    return ClusterError(f"workers whose digits would not fit these{more}", faults[:_LISTED])


@contextmanager
def connected(where: str | Client, threads: int | None = None) -> Iterator[Cluster]:
    """Workers to share work out to; those of this machine are started here, and ended when it is over.

    Parameters
    ----------
    where : str or distributed.Client
        ``local:N``, the address of a scheduler, or a client, which is left open.
    threads : int, optional
        Of each worker. Default: with ``local:N`` the cores of this machine shared out, else as many as Dask gave it.

    Raises
    ------
    ClusterError
        If the place is none, the scheduler does not answer, it has no workers, or they are not of this version.
    """
    if isinstance(where, Client):
        yield _checked(where, threads, str(where.scheduler.address if where.scheduler else where))
        return
    workers = place.local_workers(where)
    with _silence(), ExitStack() as stack:
        if workers is None:
            client = stack.enter_context(_remote(where))
        else:
            threads = threads or max(1, (os.cpu_count() or 1) // workers)
            client = stack.enter_context(_local(workers))
        yield _checked(client, threads, where)


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing of what Dask notes down: what a person has to know is an error of ours."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]  # with levels of their own
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(_SILENT)
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)  # not where the work is broken off: there Dask goes on complaining for a while


@contextmanager
def _deaf() -> Iterator[None]:
    """Threads and processes that are started here never hear of an interrupt; this thread does when it is over.

    A terminal sends Ctrl-C to workers as well, which would die of it and complain. Theirs is to end when told to.
    """
    resource_tracker.ensure_running()  # as it starts it opens the ears of its thread again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _local(workers: int) -> Iterator[Client]:
    settings = {"distributed.scheduler.allowed-failures": _FAILURES}
    with ExitStack() as stack:
        with _deaf(), dask.config.set(settings):
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0,
                silence_logs=_SILENT,
            )  # fmt: skip
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster, set_as_default=False))
        yield client


@contextmanager
def _remote(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a time-out is an OSError
        message = f"no scheduler answers there within {CONNECT_SECONDS:g} s"
        remedy = "check the address, and that `dask scheduler` runs"
        raise ClusterError(faults=[Fault("", address, message, remedy)]) from error
    with client:
        yield client


def _checked(client: Client, threads: int | None, where: str) -> Cluster:
    """Refuse a cluster without workers, or with workers of another version."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError as error:
        remedy = f"start some: dask worker {where} --nthreads 1 --nworkers 4"
        raise ClusterError(faults=[Fault("", where, "the scheduler has no workers", remedy)]) from error
    faults = differences(client.run(identity, on_error="return"), identity())
    if faults:
        raise _refusal(faults)
    return Cluster(client, threads)


class Cluster:
    """Workers that are connected, and of this version."""

    def __init__(self, client: Client, threads: int | None) -> None:
        self._client, self._threads = client, threads
        self._counted, self._slots, self._seen = -_LOOK_SECONDS, 0, monotonic()  # when workers were counted, and seen

    def execute(
        self, the: Batch, chunks: Sequence[Chunk], progress: Progress | None, announce: Callable[[], None] | None = None
    ) -> Generator[Result, None, None]:
        """Results of chunks in the order in which they are done.

        Raises
        ------
        ClusterError
            If the scheduler is lost, all workers are for long, one of another version joins, or a part kills workers.
        """
        gathering, total, done = Gathering(the), sum(map(len, chunks)) * the.paths, 0
        parts = (part for chunk in chunks for part in the.parts(chunk))
        with self._equipped(the, announce) as bench:
            for found in self._summaries(bench, parts):
                result = gathering.add(found)
                if result is not None:
                    yield result
                done += len(found.part)
                if progress is not None:
                    progress(done, total)

    @contextmanager
    def _equipped(self, the: Batch, announce: Callable[[], None] | None) -> Iterator[str]:
        """Send the batch to all workers; yields the name of their benches, which nobody else has."""
        name = f"attain-{uuid.uuid4().hex[:12]}"
        bench = Bench(pickle.dumps(the), self._threads, identity(), fingerprint(tally.Worker(the), the))
        self._client.register_plugin(bench, name=name)
        try:
            with self._announced(name, announce):
                yield name
        finally:
            with suppress(Exception):  # the scheduler may be gone, and the benches with it
                self._client.unregister_worker_plugin(name)

    @contextmanager
    def _announced(self, bench: str, announce: Callable[[], None] | None) -> Iterator[None]:
        """Have all workers get ready ahead of the work, and say so where that takes long."""
        getting_ready = [
            self._client.submit(_ready, bench, workers=[address], key=f"{bench}-ready-{address}")
            for address in self._client.nthreads()
        ]

        def look() -> None:
            if announce is not None and not all(future.done() for future in getting_ready):
                announce()

        timer = Timer(QUIET_SECONDS, look)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with suppress(Exception):
                self._client.cancel(getting_ready)

    def _summaries(self, bench: str, parts: Iterator[Part]) -> Iterator[Summary]:
        """What parts say, as they are done, so many underway as keep the workers busy."""
        done: SimpleQueue[Future] = SimpleQueue()
        underway: dict[Any, Future] = {}
        try:
            while True:
                for future in self._submit(bench, list(islice(parts, max(0, self._room() - len(underway))))):
                    underway[future.key] = future
                    future.add_done_callback(done.put)
                if not underway:
                    return
                futures = self._next(done)
                yield from self._read(futures)
                for future in futures:
                    del underway[future.key]
        finally:
            with suppress(Exception):
                self._client.cancel(list(underway.values()))

    def _submit(self, bench: str, parts: list[Part]) -> list[Future]:
        if not parts:
            return []
        keys = [f"{bench}-{part.chunk.start}-{part.index}" for part in parts]
        found: list[Future] = self._client.map(_reduce, parts, bench=bench, key=keys)
        return found

    def _room(self) -> int:
        """Pieces of work to have underway.

        Raises
        ------
        ClusterError
            If there has been no worker for long.
        """
        now = monotonic()
        if now - self._counted >= _LOOK_SECONDS:
            self._counted = now
            with suppress(OSError):  # lost for the moment: what is underway says so where it stays
                self._slots = sum(self._client.nthreads().values())
            if self._slots:
                self._seen = now
            elif now - self._seen > PATIENCE_SECONDS:
                message = f"all workers are gone for {PATIENCE_SECONDS:g} s"
                raise ClusterError(f"{message}; what was committed is kept: start some, then go on with --resume")
        return _AHEAD * max(1, self._slots)

    def _next(self, done: SimpleQueue[Future]) -> list[Future]:
        """Pieces of work that are done, at least one."""
        found: list[Future] = []
        while not found:
            with suppress(Empty):
                found.append(done.get(timeout=_LOOK_SECONDS))
            self._room()
        while not done.empty():
            found.append(done.get())
        return found

    def _read(self, futures: list[Future]) -> Iterator[Summary]:
        """What pieces of work say that are done; those that failed come last."""
        try:
            there = [future for future in futures if future.status == "finished"]
            yield from self._client.gather(there)
            for future in set(futures).difference(there):
                yield future.result()  # raises, or is being done again where a worker died with what it had done
        except EngineError:
            raise
        except KilledWorker as error:
            message = f"one piece of work was the end of {error.allowed_failures + 1} worker(s), one after the other"
            raise ClusterError(f"{message} ({error.task}); see whether they have enough memory") from error
        except (CancelledError, OSError) as error:
            message = "the connection to the scheduler is lost"
            raise ClusterError(f"{message}; what was committed is kept: go on with --resume") from error
        except Exception as error:  # whatever goes wrong on a machine that is not ours
            raise ClusterError(f"a worker failed: {type(error).__name__}: {error}") from error
