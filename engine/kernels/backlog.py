"""Sales that a risk only defers: into a backlog, and out of it again (model 3.5)."""

from engine.kernels.jit import step
from engine.kernels.needs import cover_risk
from engine.kernels.rows import fill


@step
def give_back(block, release, active, backlog, returned, loss, n):
    """Release part of a backlog in the free part of the month; `returned` is revenue, `loss` falls by it."""
    for p in range(n):
        back = release * (1.0 - block[active, p]) * block[backlog, p]
        block[returned, p] += back
        block[loss, p] -= back
        block[backlog, p] -= back


@step
def give_back_two(block, release, active, backlog, returned, more, also, loss, n):
    """As `give_back`, for two backlogs of one risk."""
    for p in range(n):
        share = release * (1.0 - block[active, p])
        back, rest = share * block[backlog, p], share * block[more, p]
        block[returned, p] += back
        block[also, p] += rest
        block[loss, p] = (block[loss, p] - back) - rest
        block[backlog, p] -= back
        block[more, p] -= rest


@step
def _give_back(number, whole, at, row, value, block, active, j, other, n):
    """Give back from one backlog, or from two of the same risk."""
    r = whole[at.backlog_risk + j]
    release, loss = number[at.release + r], value.loss + r if value.losses_kept else row.work + 8
    stream, last = row.y + whole[at.backlog_stream + j], row.y + whole[at.backlog_stream + other]
    if j == other:
        give_back(block, release, active, row.backlog + j, stream, loss, n)
    else:
        give_back_two(block, release, active, row.backlog + j, stream, row.backlog + other, last, loss, n)


@step
def return_deferred(number, whole, at, row, value, streams, block, mark, marks, span, month, n):
    """Give back what was deferred in earlier months; the rows of revenue start with it."""
    for i in range(streams):
        fill(block, row.y + i, 0.0, n)
    active, known, waiting = row.work, -1, -1
    for j in range(at.backlogs):
        if mark[marks.backlog_live + j] == 0:
            continue
        r = whole[at.backlog_risk + j]
        if r != known:
            if waiting >= 0:
                _give_back(number, whole, at, row, value, block, active, waiting, waiting, n)
            cover_risk(whole, at, row, block, span, r, row.start, active, month, n)
            known, waiting = r, -1
        if waiting < 0:
            waiting = j
        else:
            _give_back(number, whole, at, row, value, block, active, waiting, j, n)
            waiting = -1
    if waiting >= 0:
        _give_back(number, whole, at, row, value, block, active, waiting, waiting, n)


@step
def defer(block, deferred, hit, base, per_hit, backlog, n):
    """backlog += deferred * max(loss, 0)"""
    for p in range(n):
        h = block[hit, p] if block[hit, p] > 0.0 else 0.0
        block[backlog, p] += deferred * block[base, p] * h * block[per_hit, p]


@step
def defer_losses(number, whole, at, places, row, block, mark, marks, n):
    """Part of this month's losses joins the backlogs."""
    for j in range(at.backlogs):
        r, c = whole[at.backlog_risk + j], whole[at.backlog_class + j]
        deferred = number[at.deferred + r]
        if mark[marks.risk_live + r] == 0 or deferred == 0.0:
            continue
        if mark[marks.backlog_live + j] == 0:
            fill(block, row.backlog + j, 0.0, n)
            mark[marks.backlog_live + j] = 1
        base, share = row.base + whole[places + whole[at.backlog_stream + j]], row.share + whole[at.backlog_profile + j]
        defer(block, deferred, row.hit + c, base, share, row.backlog + j, n)
