"""Numbers as people read them: money in the plan's unit, shares in percent, each with its error.

The only place where units change; everywhere else money is plain and shares are fractions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import ceil, floor, isfinite, log10
from typing import Any

import numpy as np

PM = "\N{PLUS-MINUS SIGN}"
MISSING = "\N{EN DASH}"
UNITS = ((1e6, "M"), (1e3, "k"))
LEAST = 20.0  # a unit is used from so many of it on


@dataclass(frozen=True)
class Unit:
    """What money is printed in.

    Attributes
    ----------
    scale : float
        What money is divided by.
    prefix : str
        "M", "k" or nothing.
    currency : str
    """

    scale: float
    prefix: str
    currency: str

    def __str__(self) -> str:
        return f"{self.prefix} {self.currency}".strip()

    def amount(self, value: float | None, digits: int = 1) -> str:
        """Money in this unit, with no name and no error."""
        return MISSING if value is None or not isfinite(value) else f"{value / self.scale:,.{digits}f}"

    def named(self, value: float | None, digits: int = 1) -> str:
        """Money with the unit's prefix, for running text."""
        return f"{self.amount(value, digits)} {self.prefix}".strip()

    def money(self, figure: Mapping[str, Any], most: int = 1) -> str:
        """A figure ``{mean, se}`` in this unit.

        Examples
        --------
        >>> money_unit(1.5e9, "CNY").money({"mean": 1.234e8, "se": 3e5})
        '123.4 ± 0.3'
        """
        return with_error(figure.get("mean"), figure.get("se"), self.scale, most)


def money_unit(target: float, currency: str) -> Unit:
    """The unit for a plan of such a target: millions from 20 M on, thousands from 20 k on, else plain.

    Examples
    --------
    >>> [str(money_unit(target, "CNY")) for target in (20e6, 5e6, 19e3)]
    ['M CNY', 'k CNY', 'CNY']
    """
    for scale, prefix in UNITS:
        if target >= LEAST * scale * (1 - 1e-9):
            return Unit(scale, prefix, currency)
    return Unit(1.0, "", currency)


def decimals(error: float | None, most: int = 4) -> int:
    """Decimals worth printing beside an error: up to its first digit, its second where the first is 1.

    Examples
    --------
    >>> decimals(0.0123), decimals(0.005), decimals(25.0), decimals(0.0)
    (3, 3, 0, 4)
    """
    if error is None or not isfinite(error) or error <= 0:
        return most
    place = -floor(log10(error))
    leading = error * 10.0**place
    return min(most, max(0, place + (1 if leading < 2 else 0)))


def _up(error: float, digits: int) -> float:
    """Round an error up, so that what is printed never understates it."""
    step = 10.0**-digits
    return ceil(error / step - 1e-9) * step


def error_text(error: float, most: int = 6) -> str:
    """An error alone, rounded up, with the decimals worth printing.

    Examples
    --------
    >>> error_text(0.00028)
    '± 0.0003'
    """
    digits = decimals(error, most)
    return f"{PM} {_up(error, digits):,.{digits}f}"


def with_error(value: float | None, error: float | None, scale: float = 1.0, most: int = 4) -> str:
    """``value`` and its standard error with matching decimals.

    Parameters
    ----------
    value, error : float or None
        A figure and its standard error, in the same unit.
    scale : float
        What both are divided by first.
    most : int
        Decimals at most; all of them where there is no error. An error of 0 is left out: it says that all paths
        agreed, not that the figure is exact.

    Examples
    --------
    >>> with_error(0.31234, 0.0011)
    '0.3123 ± 0.0011'
    >>> with_error(1.5e9, 2.5e6, scale=1e6, most=1)
    '1,500 ± 3'
    """
    if value is None or not isfinite(value):
        return MISSING
    if error is None or not isfinite(error) or error == 0:
        return _signed(f"{value / scale:,.{most}f}")
    digits = decimals(error / scale, most)
    return f"{_signed(f'{value / scale:,.{digits}f}')} {error_text(error / scale, most)}"


def _signed(number: str) -> str:
    """A number with a minus sign in the place of a hyphen."""
    return number.replace("-", "\N{MINUS SIGN}")


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage.

    Examples
    --------
    >>> percent(0.1234)
    '12.3 %'
    """
    return MISSING if value is None or not isfinite(value) else f"{100 * value:.{digits}f} %"


def probability(figure: Mapping[str, Any], paths: int, most: int = 3) -> str:
    """A probability ``{p, se}`` or ``{value, se}`` with its error.

    Where no path or every path agreed, its bound at 95 % instead: 3 / paths, the rule of three (Hanley and
    Lippman-Hand 1983). Rare and almost certain events get more decimals, up to 6.

    Examples
    --------
    >>> probability({"p": 0.3123, "se": 0.0011}, paths=1_000_000)
    '0.312 ± 0.002'
    >>> probability({"p": 0.0, "se": 0.0}, paths=1_000_000), probability({"p": 1.0, "se": 0.0}, paths=1000)
    ('< 0.000003', '> 0.997')
    >>> probability({"p": 0.000004, "se": 0.000002}, paths=1_000_000)
    '0.000004 ± 0.000002'
    """
    value, error = figure.get("p", figure.get("value")), figure.get("se")
    if value is None or not isfinite(value):
        return MISSING
    if value in (0.0, 1.0):
        bound, digits = rule_of_three(paths)
        return f"< {bound:.{digits}f}" if value == 0.0 else f"> {1 - bound:.{digits}f}"
    rare = min(value, 1 - value) < 2 * 10.0**-most
    return with_error(value, error, most=6 if rare else most)


def rule_of_three(paths: int) -> tuple[float, int]:
    """Upper bound at 95 % of the chance of what none of so many paths showed, and the decimals that show it.

    Examples
    --------
    >>> rule_of_three(1000), rule_of_three(999_936)
    ((0.003, 3), (4e-06, 6))
    """
    bound = min(1.0, 3.0 / paths)
    digits = max(0, -floor(log10(bound)))
    return round(_up(bound, digits), digits), digits


def plain(value: float) -> str:
    """A number of a scenario: no digits lost, thousands apart.

    Examples
    --------
    >>> plain(40e6), plain(0.058), plain(12.0)
    ('40,000,000', '0.058', '12')
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.12g}"


def wrapped(text: str, width: int, indent: str = "  ") -> str:
    """A dotted name or a selector in lines of at most ``width``, broken before a mark, never within a word."""
    lines = [""]
    for word in re.split(r"(?=[&~ ]|\.\D)", text):
        if lines[-1].strip() and len(lines[-1]) + len(word) > width:
            lines.append(indent)
        lines[-1] += word.lstrip() if not lines[-1].strip() else word
    return "\n".join(lines)


def plain_data(data: Any) -> Any:
    """Whatever a command prints as JSON, in JSON's own types; NaN and infinity become null.

    Examples
    --------
    >>> plain_data({"p": np.float64(0.5), "none": float("nan"), "months": (1, 2)})
    {'p': 0.5, 'none': None, 'months': [1, 2]}
    """
    if isinstance(data, Mapping):
        return {str(key): plain_data(value) for key, value in data.items()}
    if is_dataclass(data) and not isinstance(data, type):
        return {field.name: plain_data(getattr(data, field.name)) for field in fields(data)}
    if isinstance(data, np.ndarray | np.generic):
        return plain_data(data.tolist())
    if isinstance(data, list | tuple | set | frozenset):
        return [plain_data(item) for item in data]
    if isinstance(data, float):
        return data if isfinite(data) else None
    return data if isinstance(data, str | int | None) else str(data)
