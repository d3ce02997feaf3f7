"""Batches: many worlds, simulated chunk by chunk into a store that survives whatever happens meanwhile."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr


class _Batch(ModuleType):
    """This package, which can be called.

    Importing a package makes it an attribute of the one it lies in: `engine.batch` is this package as soon as one of
    its modules has been imported, and the public function before that. Calling either does the same.
    """

    def __call__(self, *args: Any, **options: Any) -> xr.Dataset:
        from engine.batch.run import batch

        return batch(*args, **options)


sys.modules[__name__].__class__ = _Batch
