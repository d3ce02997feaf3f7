"""The store of a batch: the one home of Icechunk and Zarr.

A store is a folder with an Icechunk repository and a file that whoever writes holds a lock on. The lock is the
system's: it is gone when its holder is, however that ended, and Icechunk's commits on a local file system need it, as
they are not safe side by side. What a commit wrote is there for good; what was not committed is as if never done.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.batch.tally import SUFFIXES, Result, merged
from engine.errors import StoreError

if TYPE_CHECKING:
    import icechunk
    import xarray as xr

MISSING, DONE, FAILED = 0, 1, 2
STATE = "state"
REASON = "error"
EXTRA = 'install them with: pip install "attain-engine[batch]"'
_REPOSITORY, _NEW, _LOCK = "worlds.icechunk", ".new", "lock"
_BRANCH = "main"
_TRIES, _PAUSE = 5, 0.05
_WORLDS = 256  # worlds of a piece of an array: a commit writes the last piece anew, a piece being some 2 KB


@dataclass(frozen=True)
class Layout:
    """What a store holds.

    Attributes
    ----------
    attrs : mapping
        Of the whole.
    coords : mapping of str to (dims, values, attrs)
        What is known before any world is simulated.
    variables : mapping of str to (dims, shape, attrs)
        What results bring, `world` first.
    """

    attrs: Mapping[str, Any]
    coords: Mapping[str, tuple[tuple[str, ...], np.ndarray, Mapping[str, Any]]]
    variables: Mapping[str, tuple[tuple[str, ...], tuple[int, ...], Mapping[str, Any]]]


@dataclass(frozen=True)
class Standing:
    """How far a store is.

    Attributes
    ----------
    state : ndarray of int8, shape (worlds,)
        MISSING, DONE or FAILED.
    seconds : float
        Time that was spent on what is there. [s]
    written : datetime
        When the last commit was.
    """

    state: np.ndarray
    seconds: float
    written: datetime

    def count(self, state: int) -> int:
        """Worlds in a state."""
        return int(np.count_nonzero(self.state == state))


class Store:
    """A store that is there, to be read: as of the last commit, whoever may be writing meanwhile.

    Raises
    ------
    StoreError
        If the folder holds no store, or one that cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        _require_packages()
        self.folder = Path(folder)
        if not exists(folder):
            raise StoreError(f"{folder}: holds no store of a batch; name the folder that --store named")
        self._repository = _open(self.folder / _REPOSITORY)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the whole."""
        import zarr

        with self._reading() as session:
            return dict(zarr.open_group(session.store, mode="r").attrs)

    def standing(self) -> Standing:
        """How far the store is."""
        import zarr

        with self._reading() as session:
            state = np.asarray(zarr.open_array(session.store, path=STATE, mode="r")[:])
            tip = next(iter(self._repository.ancestry(snapshot_id=session.snapshot_id)))
            return Standing(state, float(tip.metadata["seconds"]), tip.written_at)

    def errors(self, worlds: np.ndarray) -> np.ndarray:
        """Why some worlds failed."""
        import zarr

        with self._reading() as session:
            return np.asarray(zarr.open_array(session.store, path=REASON, mode="r")[:])[worlds]

    def dataset(self) -> xr.Dataset:
        """Everything, in memory."""
        import xarray as xr

        with self._reading() as session, xr.open_dataset(
            session.store, engine="zarr", consolidated=False, chunks=None  # type: ignore[arg-type]
        ) as stored:  # fmt: skip
            return _tidy(stored.load())

    @property
    def is_written(self) -> bool:
        """Whether a process is writing to the store now."""
        try:
            handle = os.open(self.folder / _LOCK, os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _lock(handle, exclusive=False)
        finally:
            os.close(handle)

    @contextmanager
    def _reading(self) -> Iterator[icechunk.Session]:
        try:
            yield self._repository.readonly_session(_BRANCH)
        except Exception as error:  # Icechunk and Zarr raise many kinds for what is not what they expect
            raise StoreError(f"{self.folder}: cannot read this store: {_cause(error)}") from error


class Writer(Store):
    """A store that this process alone writes to, by `writing`."""

    def commit(self, results: Sequence[Result], seconds: float) -> None:
        """Write results, all of them or none.

        Parameters
        ----------
        results : sequence of Result
            To write them again changes nothing.
        seconds : float
            Time spent so far, in all. [s]

        Raises
        ------
        StoreError
            If they cannot be written: the disk is full or read-only. What was committed before stays.
        """
        import zarr

        with _committing(self.folder):
            session = self._repository.writable_session(_BRANCH)
            group = zarr.open_group(session.store, mode="r+")
            for result in merged(results):
                self._write(group, result)
            last = max(result.stop for result in results)
            session.commit(f"worlds up to {last}", metadata={"seconds": seconds})

    def _write(self, group: Any, result: Result) -> None:
        place = slice(result.start, result.stop)
        state = np.full(result.stop - result.start, DONE, np.int8)
        for world, text in result.errors.items():
            state[world - result.start] = FAILED
            group[REASON][world] = text
        for name, values in result.values.items():
            group[name][place] = values
        group[STATE][place] = state


def _tidy(stored: xr.Dataset) -> xr.Dataset:
    """Everything in the order of what was asked for, texts and months in types that Zarr does not have."""
    import xarray as xr

    outputs = [kept + suffix for kept in stored.attrs["keep"] for suffix in SUFFIXES if kept + suffix in stored]
    dims = dict.fromkeys(dim for name in outputs for dim in stored[name].dims)
    found = xr.Dataset(
        {name: _plain(stored[name]) for name in (STATE, REASON, *outputs)},
        {name: _plain(stored[name]) for name in dict.fromkeys(("world", *stored.attrs["columns"], *dims))},
        stored.attrs,
    )
    return found.assign_coords(month=found["month"].astype("datetime64[ns]")) if "month" in dims else found


def _plain(values: xr.DataArray) -> xr.Variable:
    return values.variable.astype(object) if values.dtype.kind == "T" else values.variable


def exists(folder: str | Path) -> bool:
    """Whether a folder holds a store."""
    return (Path(folder) / _REPOSITORY).is_dir()


@contextmanager
def writing(folder: str | Path, layout: Layout) -> Iterator[Writer]:
    """Open a store for this process alone to write to; make it where there is none.

    Raises
    ------
    StoreError
        If another process writes to it, the folder holds something else, or cannot be written.
    """
    _require_packages()
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = {p.name for p in folder.iterdir()} - {_REPOSITORY, _NEW, _LOCK}
        if strange and not exists(folder):
            raise StoreError(f"{folder}: holds other files, such as {min(strange)}; name an empty or a new folder")
        lock = _locked(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot write the store: {error.strerror or error}") from error
    try:
        if not exists(folder):
            _create(folder, layout)
        yield Writer(folder)
    finally:
        os.close(lock)


def _locked(folder: Path) -> int:
    """A handle that holds the lock of a store until it is closed."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(_TRIES):  # who only asks whether the store is written to holds the lock for a moment
        if _lock(handle, exclusive=True):
            return handle
        time.sleep(_PAUSE)
    os.close(handle)
    message = "another process is writing to this store; wait until it has ended, or name another folder"
    raise StoreError(f"{folder}: {message}")


def _lock(handle: int, exclusive: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create(folder: Path, layout: Layout) -> None:
    """Make a store under another name first: one of the right name is whole."""
    import icechunk
    import zarr

    new = folder / _NEW
    with _committing(folder):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        repository = icechunk.Repository.create(_storage(new))
        session = repository.writable_session(_BRANCH)
        group = zarr.create_group(session.store, attributes=dict(layout.attrs))
        _fill(group, layout)
        session.commit("the design", metadata={"seconds": 0.0})
        os.rename(new, folder / _REPOSITORY)


def _fill(group: Any, layout: Layout) -> None:
    """Coordinates, and room for results."""
    worlds = next(iter(layout.coords.values()))[1].size

    def add(name: str, dims: Sequence[str], shape: tuple[int, ...], kind: Any, fill: Any, about: Mapping) -> Any:
        chunks = tuple(min(n, _WORLDS) if dim == "world" else n for dim, n in zip(dims, shape, strict=True))
        return group.create_array(
            name, shape=shape, chunks=chunks, dtype=kind, fill_value=fill, dimension_names=dims, attributes=dict(about)
        )

    for name, (dims, values, about) in layout.coords.items():
        kind, fill = (str, "") if values.dtype.kind in "UO" else (values.dtype, None)
        add(name, dims, values.shape, kind, fill, about)[:] = values
    for name, (dims, shape, about) in layout.variables.items():
        if name not in layout.coords:
            add(name, dims, shape, "f8", np.nan, about)
    meaning = {"flag_values": [MISSING, DONE, FAILED], "flag_meanings": "missing done failed"}
    add(STATE, ("world",), (worlds,), "i1", MISSING, {"long_name": "how far the world is", "units": "1"} | meaning)
    add(REASON, ("world",), (worlds,), str, "", {"long_name": "why the world failed"})


def _require_packages() -> None:
    missing = [package for package in ("icechunk", "zarr") if not is_installed(package)]
    if missing:
        raise StoreError(f"batches need {' and '.join(missing)}, which is not installed; {EXTRA}")


def is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        return find_spec(package) is not None
    except ValueError:  # how Python says that a module was put out of reach
        return False


def _storage(folder: Path) -> icechunk.Storage:
    import icechunk

    # Icechunk warns that commits side by side on a local file system are not safe: the lock sees to that
    icechunk.set_logs_filter("error")
    return icechunk.local_filesystem_storage(str(folder))


def _open(folder: Path) -> icechunk.Repository:
    import icechunk

    try:
        return icechunk.Repository.open(_storage(folder))
    except icechunk.IcechunkError as error:
        raise StoreError(f"{folder.parent}: cannot read this store: {_cause(error)}") from error


@contextmanager
def _committing(folder: Path) -> Iterator[None]:
    import icechunk

    try:
        yield
    except (icechunk.IcechunkError, icechunk.ConflictError, OSError) as error:
        raise StoreError(
            f"{folder}: cannot write the store: {_cause(error)}; what was committed before is kept: "
            "make room, or make it writable, then go on with --resume"
        ) from error


def _cause(error: Exception) -> str:
    """The innermost reason of an error; Icechunk shows it at the end of its first line, behind all that it led to."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first.removeprefix("x ").partition(" (os error")[0].rpartition(": ")[2]
