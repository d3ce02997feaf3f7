"""Sales that a risk only defers: into the backlogs of streams, and out of them again (model 3.5)."""

from engine.kernels.jit import part, step
from engine.kernels.layout import ABSENT
from engine.kernels.needs import cover_risk
from engine.kernels.rows import fill


@part
def _free_row(block, release, free, n):
    """Share of a backlog that comes back, from the part of the month that the risk covers."""
    for p in range(n):
        block[free, p] = release * (1.0 - block[free, p])


@part
def repay(block, free, owed, loss, n):
    """What comes back of all that a risk has deferred makes its loss smaller."""
    for p in range(n):
        back = block[free, p] * block[owed, p]
        block[loss, p] -= back
        block[owed, p] -= back


@part
def owe(block, deferred, lost, owed, loss, n):
    """This month's loss by a risk, and the part of it that is deferred."""
    for p in range(n):
        block[loss, p] += block[lost, p]
        block[owed, p] += deferred * block[lost, p]


@step
def _begin(whole, at, row, block, mark, live, r, n):
    """Empty the backlogs of a risk that defers for the first time."""
    fill(block, row.owed + r, 0.0, n)
    for j in range(at.backlogs):
        if whole[at.backlog_risk + j] == r:
            fill(block, row.backlog + j, 0.0, n)
    mark[live + r] = 1


@step
def open_backlogs(number, whole, at, row, value, block, mark, marks, span, month, n):
    """Share that each risk gives back of its backlogs this month, and its loss without that."""
    for r in range(at.risks):
        if mark[marks.backlog_live + r] == 0:
            if mark[marks.risk_live + r] == 0 or number[at.deferred + r] == 0.0:
                continue
            _begin(whole, at, row, block, mark, marks.backlog_live, r, n)
        free = row.free + r
        cover_risk(whole, at, row, block, span, r, row.start, free, month, n)
        _free_row(block, number[at.release + r], free, n)
        if value.losses_kept:
            repay(block, free, row.owed + r, value.loss + r, n)


@part
def carry(block, deferred, free, hit, backlog, base, share, before, returned, n):
    """What comes back joins what does already, and the deferred part of the loss joins the backlog."""
    for p in range(n):
        per_hit = block[base, p] * block[share, p]
        back = block[free, p] * block[backlog, p]
        block[returned, p] = block[before, p] + back
        block[backlog, p] = (block[backlog, p] - back) + deferred * block[hit, p] * per_hit


@part
def carry_two(
    block, deferred, free, hit, backlog, also_deferred, also_free, also_hit, other, base, share, before, returned, n
):  # fmt: skip
    """As `carry`, to the last digit, for two backlogs of a stream."""
    for p in range(n):
        per_hit = block[base, p] * block[share, p]
        back, rest = block[free, p] * block[backlog, p], block[also_free, p] * block[other, p]
        block[returned, p] = (block[before, p] + back) + rest
        block[backlog, p] = (block[backlog, p] - back) + deferred * block[hit, p] * per_hit
        block[other, p] = (block[other, p] - rest) + also_deferred * block[also_hit, p] * per_hit


@part
def _backlog(number, whole, at, row, mark, marks, j):
    """Deferred share of a backlog, and its rows: share that comes back, hit of this month, backlog."""
    r = whole[at.backlog_risk + j]
    hit = row.hit + whole[at.backlog_class + j] if mark[marks.risk_live + r] else row.zero
    return number[at.deferred + r], row.free + r, hit, row.backlog + j


@part
def carry_stream(number, whole, at, row, block, mark, marks, i, base, share, n):
    """Move the backlogs of a stream, two at a time, on by a month; returns the row of what comes back of them."""
    returned, waiting = row.zero, ABSENT
    for j in range(whole[at.backlog_ptr + i], whole[at.backlog_ptr + i + 1]):
        if mark[marks.backlog_live + whole[at.backlog_risk + j]] == 0:
            continue
        if waiting == ABSENT:
            waiting = j
            continue
        deferred, free, hit, backlog = _backlog(number, whole, at, row, mark, marks, waiting)
        also_deferred, also_free, also_hit, other = _backlog(number, whole, at, row, mark, marks, j)
        before, returned = returned, row.work + 3 if returned == row.work + 2 else row.work + 2
        carry_two(
            block, deferred, free, hit, backlog, also_deferred, also_free, also_hit, other, base, share, before,
            returned, n,
        )  # fmt: skip
        waiting = ABSENT
    if waiting != ABSENT:
        deferred, free, hit, backlog = _backlog(number, whole, at, row, mark, marks, waiting)
        before, returned = returned, row.work + 3 if returned == row.work + 2 else row.work + 2
        carry(block, deferred, free, hit, backlog, base, share, before, returned, n)
    return returned
