"""The one home of Numba options.

No fast-math flag is set: without contraction and reassociation a compiled kernel gives the same bits as the plain
Python functions, on any number of threads, which the tests hold. Speed comes from short loops over the lanes of a
block.
"""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, get_type_hints

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import njit, prange

__all__ = [
    "aligned",
    "compiled",
    "kept_by_thread",
    "lane",
    "packed",
    "parallel",
    "part",
    "prange",
    "set_threads",
    "share_out",
    "step",
]

# A lane loop reads and writes several rows; LLVM gives up on vector code when it would have to compare more than 8
# pairs of addresses. The rows never overlap, and a few dozen comparisons cost little beside the lanes of a block.
llvm.set_option("attain", "--runtime-memory-check-threshold=64")

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


_KEPT = 4  # versions of the kernels whose code stays on disk


def _prune(home: Path, name: str) -> None:
    """Remove the code of all but the last few versions of the kernels."""
    others = [path for path in home.glob("kernels-*") if path.name != name]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _cache_directory() -> str:
    """Directory of the compiled kernels, named after the text of all of them.

    Numba renews a cached function when its own file changes, not when a function that it calls does.
    """
    here = Path(__file__).parent
    text = b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    name = "kernels-" + hashlib.sha256(text + numba.__version__.encode()).hexdigest()[:16]
    homes = [here / "__pycache__", Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attain"]
    for home in homes:
        try:
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home):
                _prune(home, name)
                return str(home / name)
        except OSError:
            continue
    return str(Path(tempfile.gettempdir()) / name)


_CACHE = _cache_directory()


def _cached(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator like `njit` whose cache lies in the directory of this version of the kernels."""

    def decorate(function: Callable) -> Callable:
        kept = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = _CACHE
        try:
            return njit(**_OPTIONS, **options)(function)
        finally:
            numba.config.CACHE_DIR = kept

    return decorate


compiled = _cached()
# a step of the path loop, called by compiled code alone: it needs no door to Python, and as nothing is allocated in it,
# no counts of references, which cost more than many a loop
step = _cached(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
# a step that is called at one place, or a short one: to hand on a dozen arrays and rows takes as long as many a step
part = _cached(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, _nrt=False)
# a function of one lane: a call inside a lane loop that is not inlined keeps the loop from becoming vector code
lane = _cached(forceinline=True, _nrt=False)
parallel = _cached(parallel=True)


@cache
def _record(kind: Any) -> np.dtype:
    """A NamedTuple of whole numbers, or of such NamedTuples, as a type of records."""
    hints = get_type_hints(kind).items()
    return np.dtype((np.record, [(k, _record(hint) if hasattr(hint, "_fields") else np.int64) for k, hint in hints]))


def packed(at: Any) -> Any:
    """A NamedTuple of whole numbers, or of such NamedTuples, as one record; itself where nothing is compiled.

    Compiled code hands on the address of a record; of a tuple it hands on every number, from function to function.
    """
    kind: Any = type(at)
    return at if numba.config.DISABLE_JIT else np.array([at], _record(kind))[0]


def set_threads(threads: int | None) -> int:
    """Set the number of threads of parallel kernels; `None` means all that the machine offers."""
    available = int(numba.config.NUMBA_NUM_THREADS)
    count = available if threads is None else min(threads, available)
    numba.set_num_threads(count)
    return count


_CACHE_LINE = 64  # bytes


def aligned(shape: tuple[int, ...], kind: Any = np.float64) -> np.ndarray:
    """An array that begins with a line of the cache: else every vector of eight numbers would lie in two."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    return memory[start : start + size].view(kind).reshape(shape)


_OF_THREAD = threading.local()


def kept_by_thread(key: Hashable, make: Callable[[], Any]) -> Any:
    """What a thread made for the last key, made anew for another: fresh memory costs it as much as work does."""
    if getattr(_OF_THREAD, "key", None) != key:
        _OF_THREAD.key, _OF_THREAD.made = key, make()
    return _OF_THREAD.made


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="attain")


def _edges(jobs: int, threads: int) -> list[int]:
    """Where pieces of work begin and end: ever smaller ones, so that the last keeps nobody waiting for long.

    Guided self-scheduling (Polychronopoulos and Kuck 1987), each piece half of what a thread has still to do.
    """
    edges = [0]
    while edges[-1] < jobs:
        edges.append(edges[-1] + max(1, (jobs - edges[-1]) // (2 * threads)))
    return edges


def share_out(function: Callable[[int, int], None], jobs: int) -> None:
    """Call `function(first, last)` on consecutive pieces of `jobs`, on as many threads as are set.

    `function` must release the interpreter's lock. For the path loop this takes the place of a parallel compiled
    loop, for which Numba would compile the whole kernel four times over: 6 s against 26 s on the reference machine.
    """
    threads = min(numba.get_num_threads(), jobs)
    if threads <= 1:
        function(0, jobs)
        return
    edges = _edges(jobs, threads)
    for _ in _pool(threads).map(function, edges[:-1], edges[1:]):
        pass
