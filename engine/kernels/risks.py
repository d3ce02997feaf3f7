"""Risks: occurrences, and what is open of them in a month (model 3.4)."""

import numpy as np

from engine.kernels.jit import lane, part, step
from engine.kernels.philox import TWO_52
from engine.kernels.rows import largest, smallest
from engine.kernels.variates import exp, log, quantile_row

NEVER = 1e9  # start of an occurrence that does not happen
_GONE = 1e-12  # height below which a decay takes nothing any more: far below 1e-9 of any revenue
_FADED = 27.7  # time constants after which every decay is over, exp(-27.7) being below _GONE


@step
def start_by_probability(block, occurs, start, probability, begin, end, hazard, n):
    """Start of the one occurrence, NEVER where u < 1 - p: uniform over the window, or by a constant hazard."""
    if hazard and probability > 0.0 and end > begin:
        rate = -log(1.0 - probability) / (end - begin)
        for p in range(n):
            block[start, p] = begin - log(1.0 - block[start, p] * probability) / rate
    else:
        for p in range(n):
            block[start, p] = begin + (end - begin) * block[start, p]
    for p in range(n):
        begins = block[start, p]
        block[start, p] = begins if block[occurs, p] >= 1.0 - probability else NEVER


@step
def start_by_rate(block, start, previous, rate, end, n):
    """Next start of a Poisson process, `previous` being the last one; NEVER beyond the window."""
    mean_gap = 1.0 / rate if rate > 0.0 else NEVER
    for p in range(n):
        block[start, p] = block[previous, p] - log(1.0 - block[start, p]) * mean_gap
    for p in range(n):
        block[previous, p] = block[start, p]
    for p in range(n):
        block[start, p] = block[start, p] if block[start, p] < end else NEVER


@step
def switch_off(block, start, acting, r, n):
    """No start of risk r where its bit is not set in the whole number of the row `acting`: nothing else changes."""
    for p in range(n):
        bits = np.float64(block[acting, p] + TWO_52).view(np.uint64)
        block[start, p] = block[start, p] if (bits >> np.uint64(r)) & np.uint64(1) else NEVER


@step
def draw_field(number, whole, tables, at, world, field, block, row, cells, n):
    """Uniforms -> variates of one random field, in place."""
    start = whole[at.start + field] + world * whole[at.stride + field]
    loc, scale, shape = number[at.loc + field], number[at.scale + field], number[at.shape + field]
    quantile_row(block, row, n, whole[at.kind + field], loc, scale, shape, tables, start, whole[at.bits + field], cells)


@step
def settle(block, row, o, months, rest, decay, trigger, lag, n):
    """End of an occurrence, start of its response, and the heights of a decay, from start, severity and duration."""
    start, end, respond = row.start + o, row.end + o, row.respond + o
    severity, duration = row.severity + o, row.duration + o
    if rest:
        for p in range(n):
            block[duration, p] = months - block[start, p]
    for p in range(n):
        block[end, p] = block[start, p] + block[duration, p] if block[start, p] < NEVER else -NEVER
    for p in range(n):
        block[respond, p] = block[start, p] + lag if block[severity, p] >= trigger else NEVER
    if decay:
        height, answered, inverse = row.height + o, row.height_answered + o, row.inverse + o
        for p in range(n):
            length = block[duration, p] if block[duration, p] > 1e-9 else 1e-9
            block[inverse, p] = 1.0 / length
            block[height, p] = exp(block[start, p] / length) if block[start, p] < 0.0 else 1.0
            block[answered, p] = exp(-lag / length)


@step
def note_span(block, row, o, months, decay, buffered, span, n):
    """Months between which an occurrence can be open on any lane."""
    span[0, o] = smallest(block, row.start + o, n)
    if decay and buffered:
        span[1, o] = months
    elif decay:
        fade, start, duration = row.work, row.start + o, row.duration + o
        for p in range(n):
            end = block[start, p] + _FADED * block[duration, p]
            block[fade, p] = end if block[start, p] < NEVER else -NEVER
        span[1, o] = largest(block, fade, n)
    else:
        span[1, o] = largest(block, row.end + o, n)


@lane
def step_part(begin, end, month):
    """Integral over the month of a step that is 1 on [begin, end]."""
    low = begin if begin > month else month
    high = end if end < month + 1.0 else month + 1.0
    return high - low if high > low else 0.0


@lane
def decay_part(begin, start, duration, month):
    """Integral over the month of exp(-(u - start) / duration) from `begin` on."""
    low = begin if begin > month else month
    inverse = 1.0 / (duration if duration > 1e-9 else 1e-9)
    whole = duration * (exp(-(low - start) * inverse) - exp(-(month + 1.0 - start) * inverse))
    return whole if low < month + 1.0 else 0.0


@lane
def later(begin, delayed):
    """The later of two times."""
    return delayed if delayed > begin else begin


@step
def open_step(block, begin, end, start, month, wait, share, out, n):
    """Row of o for a step; the part `share` counts only from `wait` months after the start on."""
    if share > 0.0:
        for p in range(n):
            now = step_part(block[begin, p], block[end, p], month)
            late = step_part(later(block[begin, p], block[start, p] + wait), block[end, p], month)
            block[out, p] = (1.0 - share) * now + share * late
    else:
        for p in range(n):
            block[out, p] = step_part(block[begin, p], block[end, p], month)


@part
def begin_decay(block, start, inverse, fading, entered, n):
    """What a decay's height falls by from month to month, and what it is at the end of the month in which it begins."""
    for p in range(n):
        block[fading, p] = exp(-block[inverse, p])
        block[entered, p] = exp((block[start, p] - (np.floor(block[start, p]) + 1.0)) * block[inverse, p])


@lane
def decayed(start, month, entered, falling):
    """Height of a decay at the end of a month, 1 before it begins and 0 once it counts as over."""
    x = entered if start >= month else falling
    x = x if x > _GONE else 0.0
    return x if start < month + 1.0 else 1.0


@part
def open_decay(block, row, o, month, answers, out, out_answered, n):
    """Rows of o, and of the part that the response can reach, for a decay.

    The height at the month's start is kept from the month before and falls by the same factor in every month but the
    first, so that no month takes an exponential.
    """
    start, respond, duration = row.start + o, row.respond + o, row.duration + o
    height, first, entered, fading = row.height + o, row.height_answered + o, row.height_entered + o, row.fading + o
    end = month + 1.0
    if answers:
        for p in range(n):
            now = block[height, p]
            after = decayed(block[start, p], month, block[entered, p], now * block[fading, p])
            fresh, begin, length = block[first, p], block[respond, p], block[duration, p]
            top = now if begin <= month else fresh
            block[out, p] = length * (now - after)
            block[out_answered, p] = length * (top - after) if begin < end else 0.0
            block[height, p] = after
    else:
        for p in range(n):
            now = block[height, p]
            after = decayed(block[start, p], month, block[entered, p], now * block[fading, p])
            block[out, p] = block[duration, p] * (now - after)
            block[height, p] = after


@step
def open_buffered_decay(block, begin, duration, start, month, wait, share, out, n):
    """Row of o for a decay with a buffer, as `open_step`."""
    for p in range(n):
        now = decay_part(block[begin, p], block[start, p], block[duration, p], month)
        late = decay_part(later(block[begin, p], block[start, p] + wait), block[start, p], block[duration, p], month)
        block[out, p] = (1.0 - share) * now + share * late


@part
def open_occurrence(block, row, o, month, fresh, decay, answers, share, wait, n):
    """o of one occurrence in one month, and the part of it that the response can reach."""
    start, respond, out, out_answered = row.start + o, row.respond + o, row.open + o, row.answered + o
    if decay and share > 0.0:
        open_buffered_decay(block, start, row.duration + o, start, month, wait, share, out, n)
        if answers:
            open_buffered_decay(block, respond, row.duration + o, start, month, wait, share, out_answered, n)
    elif decay:
        if fresh:
            begin_decay(block, start, row.inverse + o, row.fading + o, row.height_entered + o, n)
        open_decay(block, row, o, month, answers, out, out_answered, n)
    else:
        open_step(block, start, row.end + o, start, month, wait, share, out, n)
        if answers:
            open_step(block, respond, row.end + o, start, month, wait, share, out_answered, n)


@step
def open_month(number, whole, at, row, block, mark, marks, span, month, n):
    """What is open of every occurrence this month; marks the occurrences and risks that are open on any lane."""
    for r in range(at.risks):
        mark[marks.risk_live + r] = 0
        answers, decay = whole[at.effectiveness + r] >= 0, whole[at.decay + r] == 1
        share, wait = number[at.buffer_share + r], number[at.buffer_months + r]
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            mark[marks.open + o] = 0
            if span[0, o] < month + 1.0 and span[1, o] > month:
                fresh = month == 0 or span[0, o] >= month
                open_occurrence(block, row, o, float(month), fresh, decay, answers, share, wait, n)
                mark[marks.open + o] = 1
                mark[marks.risk_live + r] = 1
