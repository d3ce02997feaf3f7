"""What responses ask the funds for, and what they get (model 3.4); the time and the sales that a risk covers."""

from engine.kernels.jit import part, step
from engine.kernels.risks import NEVER, step_part
from engine.kernels.rows import add, add_product, add_scaled, fill

_LITTLE = 1e-300  # money, lost in any sum


@step
def cover_interval(block, begin, end, out, month, n):
    """out = part of the month in [begin, end]"""
    for p in range(n):
        block[out, p] = step_part(block[begin, p], block[end, p], month)


@step
def cover_intervals(block, begin, end, reached, out, month, n):
    """Add to `out` the part of the month in [begin, end] that earlier intervals, which end by `reached`, leave open."""
    for p in range(n):
        low = block[begin, p] if block[begin, p] > block[reached, p] else block[reached, p]
        block[out, p] += step_part(low, block[end, p], month)
    for p in range(n):
        later = (block[end, p] > block[reached, p]) & (block[begin, p] < NEVER)
        block[reached, p] = block[end, p] if later else block[reached, p]


@step
def cover_risk(whole, at, row, block, span, r, begins, out, month, n):
    """out = part of the month that the occurrences of a risk cover together, from the rows `begins` to their ends."""
    first, last = whole[at.first + r], whole[at.first + r + 1]
    if last - first == 1:
        cover_interval(block, begins + first, row.end + first, out, float(month), n)
        return
    reached = row.work + 7
    fill(block, out, 0.0, n)
    fill(block, reached, -NEVER, n)
    for o in range(first, last):
        if span[0, o] >= NEVER:
            break
        cover_intervals(block, begins + o, row.end + o, reached, out, float(month), n)


@step
def add_protected(block, x1, x2, x3, x4, b1, b2, b3, b4, severity, answered, effectiveness, out, n):
    """out += sum of Y0 min(1, exposure S) over four classes, times oR min(m, 1): revenue that the response protects."""
    for p in range(n):
        s = block[severity, p]
        d1, d2, d3, d4 = x1 * s, x2 * s, x3 * s, x4 * s
        stake = block[b1, p] * (d1 if d1 < 1.0 else 1.0) + block[b2, p] * (d2 if d2 < 1.0 else 1.0)
        stake = stake + block[b3, p] * (d3 if d3 < 1.0 else 1.0) + block[b4, p] * (d4 if d4 < 1.0 else 1.0)
        m = block[effectiveness, p] if block[effectiveness, p] < 1.0 else 1.0
        block[out, p] += stake * (block[answered, p] * m)


@part
def protect(block, x1, x2, x3, x4, b1, b2, b3, b4, severity, answered, effectiveness, ratio, out, n):
    """out = `ratio` of what `add_protected` adds, of the only occurrence of a risk of at most four classes."""
    for p in range(n):
        s = block[severity, p]
        d1, d2, d3, d4 = x1 * s, x2 * s, x3 * s, x4 * s
        stake = block[b1, p] * (d1 if d1 < 1.0 else 1.0) + block[b2, p] * (d2 if d2 < 1.0 else 1.0)
        stake = stake + block[b3, p] * (d3 if d3 < 1.0 else 1.0) + block[b4, p] * (d4 if d4 < 1.0 else 1.0)
        m = block[effectiveness, p] if block[effectiveness, p] < 1.0 else 1.0
        value = ratio * (stake * (block[answered, p] * m))
        block[out, p] = value if value > 0.0 else 0.0


@part
def _stake(number, whole, at, row, c, last):
    """Exposure of a class and the row of its Y0; nothing is at stake beyond the last class."""
    return (number[at.exposure + c], row.base + whole[at.class_place + c]) if c < last else (0.0, row.zero)


@step
def protect_classes(number, whole, at, row, block, r, o, ratio, only, out, n):
    """Money for the response to one occurrence, four classes at a time; without `only` yet to be multiplied."""
    first, last = whole[at.class_ptr + r], whole[at.class_ptr + r + 1]
    severity, answered, effectiveness = row.severity + o, row.answered + o, row.effectiveness + o
    for c in range(first, last, 4):
        x1, b1 = _stake(number, whole, at, row, c, last)
        x2, b2 = _stake(number, whole, at, row, c + 1, last)
        x3, b3 = _stake(number, whole, at, row, c + 2, last)
        x4, b4 = _stake(number, whole, at, row, c + 3, last)
        if only:
            protect(block, x1, x2, x3, x4, b1, b2, b3, b4, severity, answered, effectiveness, ratio, out, n)
        else:
            add_protected(block, x1, x2, x3, x4, b1, b2, b3, b4, severity, answered, effectiveness, out, n)


@part
def protected_row(number, whole, at, row, block, mark, marks, r, ratio, out, n):
    """out = `ratio` of the revenue that the responses to the occurrences of a risk protect; 0 where none is exposed."""
    first, last = whole[at.first + r], whole[at.first + r + 1]
    if last - first == 1 and 0 < whole[at.class_ptr + r + 1] - whole[at.class_ptr + r] <= 4:
        protect_classes(number, whole, at, row, block, r, first, ratio, True, out, n)
        return
    fill(block, out, 0.0, n)
    for o in range(first, last):
        if mark[marks.open + o]:
            protect_classes(number, whole, at, row, block, r, o, ratio, False, out, n)
    for p in range(n):
        value = ratio * block[out, p]
        block[out, p] = value if value > 0.0 else 0.0


@part
def need_row(number, whole, at, row, block, mark, marks, span, r, month, n):
    """Money that the response of risk r asks for this month."""
    out = row.need + r
    ratio, monthly = number[at.cost_ratio + r], number[at.cost_month + r]
    if ratio > 0.0:
        protected_row(number, whole, at, row, block, mark, marks, r, ratio, out, n)
    else:
        fill(block, out, 0.0, n)
    if monthly > 0.0:
        share = row.work
        cover_risk(whole, at, row, block, span, r, row.respond, share, month, n)
        add_scaled(block, out, monthly, share, n)


@step
def asks_on(number, whole, at, r):
    """Whether the response to a risk, once it has asked a fund for money, does so in every month: ever less of it."""
    return whole[at.decay + r] == 1 and number[at.cost_ratio + r] > 0.0 and whole[at.fund + r] >= 0


@step
def note_lasting(block, need, answered, lasting, n):
    """lasting = next to nothing where there is a need, or was when the decay was last open; else 0."""
    for p in range(n):
        before = block[lasting, p]
        left = 0.0 if block[answered, p] > 0.0 else before
        block[lasting, p] = _LITTLE if block[need, p] > 0.0 else left


@step
def ask_on(whole, at, row, block, mark, marks, r, fund_need, n):
    """A decay that is no longer open still needs something: an empty fund then covers nobody, whoever else asks it."""
    if mark[marks.risk_live + r]:
        answered = row.work
        fill(block, answered, 0.0, n)
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if mark[marks.open + o]:
                add(block, answered, row.answered + o, n)
        note_lasting(block, row.need + r, answered, row.lasting + r, n)
    add(block, fund_need, row.lasting + r, n)


@step
def pay(block, need, balance, cover, total_need, exhausted, n):
    """Cover the needs of one fund alike: a = min(1, balance / need), 1 where nothing is needed."""
    for p in range(n):
        asked, there, before = block[need, p], block[balance, p], block[exhausted, p]
        short, left = asked > there, there - asked
        share = there / (asked if short else 1.0)
        block[cover, p] = share if short else 1.0
        block[exhausted, p] = 1.0 if short else before
        block[balance, p] = left if left > 0.0 else 0.0
        block[total_need, p] += asked


@step
def flag(block, out, source, n):
    """out = 1 where the source is above 0"""
    for p in range(n):
        before = block[out, p]
        block[out, p] = 1.0 if block[source, p] > 0.0 else before


@step
def expose(number, whole, at, row, block, mark, marks, span, struck, exposed, month, n):
    """Sales of the exposed streams while a risk is active, and whether it is, or still does something, at some time."""
    active = row.work
    for r in range(at.risks):
        if mark[marks.risk_live + r] == 0:
            continue
        cover_risk(whole, at, row, block, span, r, row.start, active, month, n)
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if mark[marks.open + o]:
                flag(block, struck + r, row.open + o, n)
        flag(block, struck + r, active, n)
        for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
            if number[at.exposure + c] > 0.0:
                base = row.base + whole[at.class_place + c]
                add_product(block, exposed + r, active, base, n)
