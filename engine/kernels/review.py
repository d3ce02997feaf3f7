"""The monthly review: lag, status, corrective money (model 3.7)."""

from engine.kernels.jit import step
from engine.kernels.layout import GREEN, RED, YELLOW
from engine.kernels.rows import fill


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
    highest = row.work
    quarter = float(whole[at.quarter + month])
    if not _exceeded(block, lag, number[at.level_lag], n):
        return
    fill(block, highest, -1.0, n)
    for v in range(at.levels):
        limit = number[at.level_lag + v]
        for p in range(n):
            block[highest, p] = float(v) if block[lag, p] > limit else block[highest, p]
    for v in range(at.levels):
        fund, line, amount = whole[at.level_fund + v], whole[at.level_line + v], number[at.level_amount + v]
        last = row.spoken + v
        acting = 0
        for p in range(n):
            if (block[highest, p] == float(v)) & (block[last, p] != quarter):
                acting += 1
                block[last, p] = quarter
                block[acted + v, p] = 1.0
                paid = amount
                if fund >= 0:
                    paid = min(amount, block[value.fund_balance + fund, p])
                    block[value.fund_need + fund, p] += amount
                    if paid < amount:
                        block[exhausted + fund, p] = 1.0
                    block[value.fund_balance + fund, p] -= paid
                block[row.decided + line, p] += paid
                block[value.corrective + line, p] += paid
        if acting > 0:
            mark[live + line] = 1


@step
def _exceeded(block, lag, lowest, n):
    count = 0
    for p in range(n):
        count += 1 if block[lag, p] > lowest else 0
    return count > 0
