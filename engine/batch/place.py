"""Where a batch is worked on: processes of this machine, or a cluster. Told apart before Dask is loaded."""

from __future__ import annotations

import re

from engine.batch.store import EXTRA, is_installed
from engine.errors import ClusterError, Fault

LOCAL = "local:"
MOST_WORKERS = 256
REMEDY = "give local:4 for four processes of this machine, or the address of a scheduler such as tcp://10.0.0.1:8786"
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):(\d{1,5})/?")


def fault(text: str) -> str | None:
    """What is wrong with the name of a place; None where nothing is."""
    if not text.startswith(LOCAL):
        address = _ADDRESS.fullmatch(text)
        if address is None:
            return f"{text!r} is no place to work at"
        return None if 0 < int(address[3]) < 65536 else f"{address[3]} is no port: not between 1 and 65535"
    number = text.removeprefix(LOCAL)
    if not number.isascii() or not number.isdigit():
        return f"{number!r} is no number of processes"
    return None if 1 <= int(number) <= MOST_WORKERS else f"{number} is not between 1 and {MOST_WORKERS} processes"


def local_workers(text: str) -> int | None:
    """Processes of this machine; None where the place is the address of a scheduler.

    Raises
    ------
    ClusterError
        If the place is neither.
    """
    wrong = fault(text)
    if wrong is not None:
        raise ClusterError(faults=[Fault("", "dask", wrong, REMEDY)])
    return int(text.removeprefix(LOCAL)) if text.startswith(LOCAL) else None


def require_packages() -> None:
    """Raise ClusterError where Dask is not installed."""
    missing = [package for package in ("dask", "distributed") if not is_installed(package)]
    if missing:
        raise ClusterError(f"work on a cluster needs {' and '.join(missing)}, which is not installed; {EXTRA}")
