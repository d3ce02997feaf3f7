"""Files that are always whole: written under a temporary name, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import StoreError


@contextmanager
def whole_file(target: Path, what: str) -> Iterator[str]:
    """Give the temporary name under which to write; the file gets its own name once the block has ended well.

    Raises
    ------
    StoreError
        If the file cannot be written; `what` says what it was to hold.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        raise StoreError(f"{target}: cannot write {what}: {error.strerror or error}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_text(target: Path, text: str) -> Path:
    """Write a text file.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    with whole_file(target, "the file") as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    return target
