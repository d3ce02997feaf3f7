"""Spend -> response -> lift (model 3.1)."""

from engine.kernels.jit import lane, step
from engine.kernels.rows import add_scaled, fill
from engine.kernels.variates import exp, log


@lane
def exponential_response(spend, ceiling, scale):
    """U = ceiling (1 - exp(-A / scale)), A the effective spend of the month."""
    return ceiling * (1.0 - exp(-spend / scale))


@lane
def hill_response(spend, ceiling, scale, slope):
    """U = ceiling / (1 + (scale / A)^slope), 0 at A = 0."""
    a = spend if spend > 1e-300 else 1e-300
    u = ceiling / (1.0 + exp(slope * (log(scale) - log(a))))
    return u if spend > 0.0 else 0.0


@step
def correct(number, whole, at, row, block, mark, live, months, month, n):
    """Carry corrective money into the effective spend of its lines and renew their response.

    The rows `decided` hold the money decided in last month's review, `extra` the adstock that such money has built up
    so far. The adstock is linear, so it adds to that of the plan's own amount.
    """
    for b in range(at.lines):
        if mark[live + b] == 0:
            continue
        keep = number[at.carryover + b]
        base = number[at.adstock + b * months + month]
        ceiling, scale, slope = number[at.ceiling + b], number[at.scale + b], number[at.slope + b]
        planned = number[at.response + b * months + month]
        extra, money, out = row.extra + b, row.decided + b, row.response + b
        for p in range(n):
            block[extra, p] = keep * block[extra, p] + (1.0 - keep) * block[money, p]
        if whole[at.hill + b]:
            for p in range(n):
                block[out, p] = hill_response(base + block[extra, p], ceiling, scale, slope)
        else:
            for p in range(n):
                block[out, p] = exponential_response(base + block[extra, p], ceiling, scale)
        for p in range(n):
            # a path without corrective money keeps the plan's response to the last digit
            corrected = block[out, p]
            block[out, p] = corrected if block[extra, p] > 0.0 else planned
        fill(block, money, 0.0, n)


@step
def lifts(number, whole, at, row, block, mark, live, months, month, n):
    """lift = max(-1, sum over lines of reach E U), a row for each lift group."""
    for m in range(at.groups):
        lift = row.lift + m
        fill(block, lift, 0.0, n)
        for entry in range(whole[at.group_ptr + m], whole[at.group_ptr + m + 1]):
            b = whole[at.group_line + entry]
            reach = number[at.reach + entry]
            effect, response = row.line_effect + b, row.response + b
            if mark[live + b]:
                for p in range(n):
                    block[lift, p] += reach * block[response, p] * block[effect, p]
            else:
                add_scaled(block, lift, reach * number[at.response + b * months + month], effect, n)
        for p in range(n):
            block[lift, p] = -1.0 if block[lift, p] < -1.0 else block[lift, p]
