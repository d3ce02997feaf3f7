"""What can go wrong, said so that a user can put it right."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault of an input: where it is, what is wrong, what to do about it."""

    file: str
    knob: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.knob) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text}; {self.remedy}" if self.remedy else text


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose.

    Parameters
    ----------
    message : str, optional
        What happened; by default the faults themselves.
    faults : sequence of Fault, optional
        Every fault that was found, not only the first.
    """

    def __init__(self, message: str = "", faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(faults)
        super().__init__(message or "\n".join(map(str, self.faults)))


class ScenarioError(EngineError):
    """A scenario that is not right."""


class SimulationError(EngineError):
    """A run that makes no sense or does not fit."""


class AllocationError(EngineError):
    """A budget that cannot be set out as asked."""


class StoreError(EngineError):
    """A file that cannot be read or written."""


class ClusterError(EngineError):
    """Workers that cannot be reached, or whose numbers would not fit."""
