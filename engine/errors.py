"""What can go wrong, said so that a user can put it right."""

from collections.abc import Iterable, Sequence
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


_BEGUN = 3  # letters from which on a name counts as begun


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like a word, or the only one that begins so; None where none is.

    Examples
    --------
    >>> nearest("margni", ["margin", "growth"]), nearest("prob", ["probability", "rate"]), nearest("x", ["growth"])
    ('margin', 'probability', None)
    """
    from difflib import get_close_matches

    known = list(known)
    begun = [name for name in known if len(word) >= _BEGUN and name.startswith(word)]
    return next(iter(get_close_matches(word, known, n=1, cutoff=cutoff)), begun[0] if len(begun) == 1 else None)


def did_you_mean(word: str, known: Iterable[str], otherwise: str, cutoff: float = 0.6) -> str:
    """Remedy for a name that is not known: the nearest that is, else `otherwise`."""
    near = nearest(word, known, cutoff)
    return otherwise if near is None else f"did you mean {near}?"


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
