"""The monthly review: lag, status, corrective money (model 3.7)."""

import numpy as np

from engine.kernels.jit import step
from engine.kernels.layout import GREEN, RED, YELLOW
from engine.kernels.rows import add, fill


@step
def lag_row(block, row, cumulative, plan, n):
    """lag = 1 - cumulative revenue / cumulative plan, 0 where the plan is 0."""
    if plan > 0.0:
        for p in range(n):
            block[row, p] = 1.0 - block[cumulative, p] / plan
    else:
        fill(block, row, 0.0, n)


@step
def status_row(block, row, lag, lowest, highest, n):
    """Green below the lowest level, red at or above the highest, yellow between."""
    for p in range(n):
        value = block[lag, p]
        block[row, p] = GREEN if value < lowest else (RED if value >= highest else YELLOW)


@step
def act(number, whole, at, row, block, mark, live, lag, value, exhausted, acted, month, n):
    """Let the highest level that is exceeded act, unless it has in this calendar quarter.

    The rows `spoken` hold, for each level, the quarter in which it last acted; `decided` the money of next month by
    line. An act with an empty fund is an act.
    """
    money = row.work
    quarter = float(whole[at.quarter + month])
    for v in range(at.levels):
        limit, highest = number[at.level_lag + v], np.inf
        if v + 1 < at.levels:
            highest = number[at.level_lag + v + 1]
        if not _asked(block, lag, limit, highest, number[at.level_amount + v], row.spoken + v, quarter, money, n):
            continue
        fund, line = whole[at.level_fund + v], whole[at.level_line + v]
        _speak(block, lag, limit, highest, row.spoken + v, acted + v, quarter, n)
        if fund >= 0:
            _draw_on(block, money, value.fund_balance + fund, value.fund_need + fund, exhausted + fund, n)
        add(block, row.decided + line, money, n)
        add(block, value.corrective + line, money, n)
        mark[live + line] = 1


@step
def _asked(block, lag, limit, highest, amount, last, quarter, money, n):
    """The money of a level where the lag lies between its limit and the next one's; returns whether it acts at all."""
    count = 0
    for p in range(n):
        acts = (block[lag, p] > limit) & (block[lag, p] <= highest) & (block[last, p] != quarter)
        count += 1 if acts else 0
        block[money, p] = amount if acts else 0.0
    return count > 0


@step
def _speak(block, lag, limit, highest, last, acted, quarter, n):
    """Note that a level has acted in this quarter, and at all."""
    for p in range(n):
        acts = (block[lag, p] > limit) & (block[lag, p] <= highest)
        spoken, before = block[last, p], block[acted, p]
        block[last, p] = quarter if acts else spoken
        block[acted, p] = 1.0 if acts else before


@step
def _draw_on(block, money, balance, need, exhausted, n):
    """Take the money from a fund, as far as it has any."""
    for p in range(n):
        asked, there, before = block[money, p], block[balance, p], block[exhausted, p]
        paid = asked if asked < there else there
        block[need, p] += asked
        block[exhausted, p] = 1.0 if paid < asked else before
        block[balance, p] = there - paid
        block[money, p] = paid
