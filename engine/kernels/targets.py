"""Goals of the plan, followed on each path (model 3.8)."""

from engine.kernels.jit import step
from engine.kernels.layout import (
    COUNT,
    FUND_LEFT,
    GROSS_MARGIN,
    LOOK_CUSTOMERS,
    MARGIN_RATE,
    OVERRUN,
    RETENTION,
    REVENUE,
)
from engine.kernels.rows import add, copy, fill, sum_listed

TOLERANCE = 1e-9  # relative: a bound that is met to rounding is met


@step
def sum_sets(whole, at, look, zero, block, source, out, n):
    """Sum a month's rows of the streams over each set of streams that is looked at in this way."""
    for s in range(at.sets):
        if whole[at.looks + s] & look:
            first, last = at.set_stream + whole[at.set_ptr + s], at.set_stream + whole[at.set_ptr + s + 1]
            sum_listed(whole, first, last, source, zero, block, out + s, n)


@step
def sum_clients(whole, at, client, block, source, out, n):
    """As `sum_sets`, for rows of customer streams; `client` is where a stream's index among them stands."""
    for s in range(at.sets):
        if whole[at.looks + s] & LOOK_CUSTOMERS:
            fill(block, out + s, 0.0, n)
            for entry in range(whole[at.set_ptr + s], whole[at.set_ptr + s + 1]):
                j = whole[client + whole[at.set_stream + entry]]
                if j >= 0:
                    add(block, out + s, source + j, n)


@step
def start(whole, at, block, tally, n):
    """Reset the rows of each target, of four those it has: measure and divisor of `where`, then of `of`."""
    for q in range(at.targets):
        measure, sides = whole[at.measure + q], 1 if whole[at.of + q] < 0 else 2
        for side in range(sides):
            value = tally + 4 * q + 2 * side
            fill(block, value, 1.0 if measure == RETENTION else 0.0, n)
            if measure == MARGIN_RATE:
                fill(block, value + 1, 0.0, n)


@step
def follow(whole, at, row, block, months, month, n):
    """Add one month to every target that looks at it."""
    for q in range(at.targets):
        measure = whole[at.measure + q]
        if whole[at.months + q * months + month] == 0 or measure >= FUND_LEFT:
            continue
        for side in range(2):
            s = whole[at.where + q] if side == 0 else whole[at.of + q]
            value = row.tally + 4 * q + 2 * side
            if s < 0:
                continue
            if measure == REVENUE:
                add(block, value, row.set_revenue + s, n)
            elif measure == GROSS_MARGIN:
                add(block, value, row.set_margin + s, n)
            elif measure == MARGIN_RATE:
                add(block, value, row.set_margin + s, n)
                add(block, value + 1, row.set_revenue + s, n)
            elif measure == RETENTION:
                stay(block, value, row.set_before + s, row.set_lost + s, n)
            elif measure == COUNT and month == whole[at.last + q]:
                copy(block, value, row.set_after + s, n)


@step
def stay(block, value, before, lost, n):
    """retention *= 1 - lost / N; an empty month counts 1"""
    for p in range(n):
        count = block[before, p] if block[before, p] > 0.0 else 1.0
        block[value, p] *= 1.0 - block[lost, p] / count


@step
def divide(block, value, divisor, n):
    """value /= divisor, 0 where there is nothing to divide by"""
    for p in range(n):
        there = block[divisor, p] != 0.0
        share = block[value, p] / (block[divisor, p] if there else 1.0)
        block[value, p] = share if there else 0.0


@step
def judge(block, value, bound, at_least, met, n):
    """met = the value reaches its bound, to 1e-9 relative."""
    slack = TOLERANCE * (bound if bound > 0.0 else -bound)
    if at_least:
        for p in range(n):
            block[met, p] = 1.0 if block[value, p] >= bound - slack else 0.0
    else:
        for p in range(n):
            block[met, p] = 1.0 if block[value, p] <= bound + slack else 0.0


@step
def finish(number, whole, at, row, block, funds, balance, overrun, met, n):
    """Judge every target at the end of the horizon."""
    for q in range(at.targets):
        measure, value = whole[at.measure + q], row.tally + 4 * q
        if measure == FUND_LEFT:
            fill(block, value, 0.0, n)
            for f in range(funds):
                if whole[at.where + q] < 0 or whole[at.where + q] == f:
                    add(block, value, balance + f, n)
        elif measure == OVERRUN:
            copy(block, value, overrun, n)
        else:
            if measure == MARGIN_RATE:
                divide(block, value, value + 1, n)
            if whole[at.of + q] >= 0:
                if measure == MARGIN_RATE:
                    divide(block, value + 2, value + 3, n)
                divide(block, value, value + 2, n)
        judge(block, value, number[at.bound + q], whole[at.at_least + q] == 1, met + q, n)
