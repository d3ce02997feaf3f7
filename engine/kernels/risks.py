"""Risks: occurrences, and what is open of them in a month (model 3.4)."""

from engine.kernels.jit import compiled, lane
from engine.kernels.rows import add_product, fill
from engine.kernels.variates import exp, log, quantile_row

NEVER = 1e9  # start of an occurrence that does not happen


@compiled
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
        block[start, p] = block[start, p] if block[occurs, p] >= 1.0 - probability else NEVER


@compiled
def start_by_rate(block, start, previous, rate, end, n):
    """Next start of a Poisson process, `previous` being the last one; NEVER beyond the window."""
    mean_gap = 1.0 / rate if rate > 0.0 else NEVER
    for p in range(n):
        block[start, p] = block[previous, p] - log(1.0 - block[start, p]) * mean_gap
    for p in range(n):
        block[previous, p] = block[start, p]
    for p in range(n):
        block[start, p] = block[start, p] if block[start, p] < end else NEVER


@compiled
def draw_field(number, whole, tables, at, world, field, block, row, cells, n):
    """Uniforms -> variates of one random field, in place."""
    start = whole[at.start + field] + world * whole[at.stride + field]
    loc, scale, shape = number[at.loc + field], number[at.scale + field], number[at.shape + field]
    quantile_row(block, row, n, whole[at.kind + field], loc, scale, shape, tables, start, whole[at.bits + field], cells)


@compiled
def settle(block, row, o, months, rest, trigger, lag, n):
    """End of an occurrence and start of its response, from start, severity and duration."""
    start, end, severity, duration, respond = row.start + o, row.end + o, row.severity + o, row.duration + o, row.respond + o
    if rest:
        for p in range(n):
            block[duration, p] = months - block[start, p]
    for p in range(n):
        block[end, p] = block[start, p] + block[duration, p] if block[start, p] < NEVER else -NEVER
    for p in range(n):
        block[respond, p] = block[start, p] + lag if block[severity, p] >= trigger else NEVER


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


@compiled
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


@compiled
def open_decay(block, begin, duration, start, month, wait, share, out, n):
    """Row of o for a decay, as `open_step`."""
    if share > 0.0:
        for p in range(n):
            now = decay_part(block[begin, p], block[start, p], block[duration, p], month)
            late = decay_part(later(block[begin, p], block[start, p] + wait), block[start, p], block[duration, p], month)
            block[out, p] = (1.0 - share) * now + share * late
    else:
        for p in range(n):
            block[out, p] = decay_part(block[begin, p], block[start, p], block[duration, p], month)


@compiled
def open_occurrence(block, row, o, month, decay, answers, share, wait, out, out_answered, n):
    """o of one occurrence in one month, and the part of it that the response can reach."""
    start, respond = row.start + o, row.respond + o
    if decay:
        open_decay(block, start, row.duration + o, start, month, wait, share, out, n)
        if answers:
            open_decay(block, respond, row.duration + o, start, month, wait, share, out_answered, n)
    else:
        open_step(block, start, row.end + o, start, month, wait, share, out, n)
        if answers:
            open_step(block, respond, row.end + o, start, month, wait, share, out_answered, n)


@compiled
def add_depth(block, exposure, severity, o, hit, n):
    """hit += min(1, exposure S) o"""
    for p in range(n):
        depth = exposure * block[severity, p]
        block[hit, p] += (depth if depth < 1.0 else 1.0) * block[o, p]


@compiled
def add_answer(block, exposure, severity, effectiveness, o_answered, undone, n):
    """undone += min(1, exposure S) m oR"""
    for p in range(n):
        depth = exposure * block[severity, p]
        block[undone, p] += (depth if depth < 1.0 else 1.0) * block[effectiveness, p] * block[o_answered, p]


@compiled
def add_stake(block, exposure, severity, effectiveness, o_answered, stake, n):
    """stake += min(1, exposure S) oR min(m, 1): the share of revenue that the response protects and that is paid for."""
    for p in range(n):
        depth = exposure * block[severity, p]
        m = block[effectiveness, p] if block[effectiveness, p] < 1.0 else 1.0
        block[stake, p] += (depth if depth < 1.0 else 1.0) * block[o_answered, p] * m


@compiled
def add_undone_severity(block, severity, effectiveness, o_answered, out, n):
    """out += S m oR"""
    for p in range(n):
        block[out, p] += block[severity, p] * block[effectiveness, p] * block[o_answered, p]


@compiled
def open_month(number, whole, at, row, block, mark, live, span, month, n):
    """What is open of every risk this month, by exposure class and, for margin and churn, by risk."""
    out, out_answered = row.work, row.work + 1
    for r in range(at.risks):
        mark[live + r] = 0
        answers = whole[at.effectiveness + r] >= 0
        by_severity = (number[at.margin_loss + r] != 0.0) | (number[at.churn + r] != 0.0)
        share, wait = number[at.buffer_share + r], number[at.buffer_months + r]
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if span[0, o] >= month + 1.0:
                break
            if span[1, o] <= month:
                continue
            if mark[live + r] == 0:
                _reset(whole, at, row, block, r, n)
                mark[live + r] = 1
            decay = whole[at.decay + r] == 1
            open_occurrence(block, row, o, float(month), decay, answers, share, wait, out, out_answered, n)
            _add_occurrence(number, whole, at, row, block, r, o, answers, out, out_answered, n)
            if by_severity:
                add_product(block, row.open_severity + r, row.severity + o, out, n)
                if answers:
                    add_undone_severity(
                        block, row.severity + o, row.effectiveness + o, out_answered, row.undone_severity + r, n
                    )


@compiled
def _reset(whole, at, row, block, r, n):
    for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
        fill(block, row.hit + c, 0.0, n)
        fill(block, row.undone + c, 0.0, n)
        fill(block, row.stake + c, 0.0, n)
    fill(block, row.open_severity + r, 0.0, n)
    fill(block, row.undone_severity + r, 0.0, n)


@compiled
def _add_occurrence(number, whole, at, row, block, r, o, answers, out, out_answered, n):
    paid = number[at.cost_ratio + r] > 0.0
    severity, effectiveness = row.severity + o, row.effectiveness + o
    for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
        exposure = number[at.exposure + c]
        add_depth(block, exposure, severity, out, row.hit + c, n)
        if answers:
            add_answer(block, exposure, severity, effectiveness, out_answered, row.undone + c, n)
            if paid:
                add_stake(block, exposure, severity, effectiveness, out_answered, row.stake + c, n)
