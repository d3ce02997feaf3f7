"""Selectors: which streams a name, a label or ``*`` means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.scenario.model import Stream

EVERYTHING = "*"
_AN_ID = 1_000_000  # an id beats any number of labels


def pairs_of(selector: str) -> list[tuple[str, str]] | None:
    """The ``label:value`` pairs of a selector; None where it is ``*``, an id or malformed."""
    parts = [part.partition(":") for part in selector.split("&")]
    if not all(label and colon and value and ":" not in value for label, colon, value in parts):
        return None
    return [(label, value) for label, _, value in parts]


def select(selector: str, streams: Mapping[str, Stream]) -> list[str]:
    """Ids of the streams that match, in the scenario's order."""
    if selector == EVERYTHING:
        return list(streams)
    if selector in streams:
        return [selector]
    wanted = pairs_of(selector)
    if wanted is None:
        return []
    return [name for name, s in streams.items() if all(s.labels.get(label) == value for label, value in wanted)]


def weight(selector: str, streams: Mapping[str, Stream]) -> int:
    """How specific a selector is: an id beats labels, more pairs beat fewer, ``*`` loses to all."""
    if selector == EVERYTHING:
        return 0
    return _AN_ID if selector in streams else len(pairs_of(selector) or ())


def resolve(entries: Iterable[str], streams: Mapping[str, Stream]) -> dict[str, str | None]:
    """For each stream the selector that wins, None where none matches."""
    winner: dict[str, str | None] = dict.fromkeys(streams)
    ordered = sorted(entries, key=lambda selector: weight(selector, streams))
    for selector in ordered:
        for name in select(selector, streams):
            winner[name] = selector
    return winner


def ties(entries: Iterable[str], streams: Mapping[str, Stream]) -> list[tuple[str, str, str]]:
    """Streams that two equally specific selectors match, as (first, second, stream); one stream a pair."""
    found = {}
    matched = [(selector, weight(selector, streams), set(select(selector, streams))) for selector in entries]
    for j, (first, first_weight, first_set) in enumerate(matched):
        for second, second_weight, second_set in matched[j + 1 :]:
            both = first_set & second_set
            if both and first_weight == second_weight:
                top = [s for s in both if _beaten(s, first_weight, matched) is False]
                if top:
                    found[first, second] = sorted(top)[0]
    return [(first, second, stream) for (first, second), stream in found.items()]


def _beaten(stream: str, own: int, matched: list[tuple[str, int, set[str]]]) -> bool:
    """Whether a more specific selector decides for the stream, so that a tie below it does not matter."""
    return any(other > own and stream in members for _, other, members in matched)
