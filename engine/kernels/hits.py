"""What risks do to revenue: needs and cover, hits, attribution, deferral, margin (model 3.4, 3.5, 3.8).

Streams that no risk tells apart form a profile; the streams of one exposure entry form a class, which is made of
profiles.
"""

from engine.kernels.jit import step
from engine.kernels.risks import NEVER, step_part
from engine.kernels.rows import add, add_product, add_scaled, copy, fill, scaled, sum_listed


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
def group_row(whole, at, u, source, sums):
    """Row that holds the sum over a group's profiles: the profile's own row where there is one."""
    first = whole[at.group_ptr + u]
    return source + whole[at.group_profile + first] if whole[at.group_ptr + u + 1] - first == 1 else sums + u


@step
def sum_groups(whole, at, row, block, source, sums, n):
    """Sum the rows of profiles over every group of more than one."""
    for u in range(at.groups):
        first, last = at.group_profile + whole[at.group_ptr + u], at.group_profile + whole[at.group_ptr + u + 1]
        if last - first > 1:
            sum_listed(whole, first, last, source, row.zero, block, sums + u, n)


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


@step
def protect_classes(number, whole, at, row, block, r, o, out, n):
    """Add what the response to one occurrence protects, four classes at a time."""
    first, last = whole[at.class_ptr + r], whole[at.class_ptr + r + 1]
    for c in range(first, last, 4):
        b1 = group_row(whole, at, whole[at.class_group + c], row.base, row.group_base)
        x1, x2, x3, x4 = number[at.exposure + c], 0.0, 0.0, 0.0
        b2, b3, b4 = row.zero, row.zero, row.zero
        if c + 1 < last:
            x2, b2 = (
                number[at.exposure + c + 1],
                group_row(whole, at, whole[at.class_group + c + 1], row.base, row.group_base),
            )
        if c + 2 < last:
            x3, b3 = (
                number[at.exposure + c + 2],
                group_row(whole, at, whole[at.class_group + c + 2], row.base, row.group_base),
            )
        if c + 3 < last:
            x4, b4 = (
                number[at.exposure + c + 3],
                group_row(whole, at, whole[at.class_group + c + 3], row.base, row.group_base),
            )
        add_protected(
            block, x1, x2, x3, x4, b1, b2, b3, b4, row.severity + o, row.answered + o, row.effectiveness + o, out, n
        )  # fmt: skip


@step
def need_row(number, whole, at, row, block, mark, marks, span, r, month, n):
    """Money that the response of risk r asks for this month."""
    out = row.need + r
    fill(block, out, 0.0, n)
    ratio, monthly = number[at.cost_ratio + r], number[at.cost_month + r]
    if ratio > 0.0:
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if mark[marks.open + o]:
                protect_classes(number, whole, at, row, block, r, o, out, n)
        for p in range(n):
            value = ratio * block[out, p]
            block[out, p] = value if value > 0.0 else 0.0
    if monthly > 0.0:
        share = row.work
        cover_risk(whole, at, row, block, span, r, row.respond, share, month, n)
        add_scaled(block, out, monthly, share, n)


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
def net_open(block, open_row, cover, effectiveness, answered, n):
    """o becomes o - a m oR"""
    for p in range(n):
        block[open_row, p] -= block[cover, p] * (block[effectiveness, p] * block[answered, p])


@step
def class_hit(block, exposure, severity, open_row, hit, n):
    """hit = min(1, min(1, exposure S) (o - a m oR)) of the only occurrence"""
    for p in range(n):
        depth = exposure * block[severity, p]
        value = (depth if depth < 1.0 else 1.0) * block[open_row, p]
        block[hit, p] = value if value < 1.0 else 1.0


@step
def add_class_hit(block, exposure, severity, open_row, hit, n):
    """hit += min(1, exposure S) (o - a m oR)"""
    for p in range(n):
        depth = exposure * block[severity, p]
        block[hit, p] += (depth if depth < 1.0 else 1.0) * block[open_row, p]


@step
def cap(block, hit, n):
    """hit = min(1, hit)"""
    for p in range(n):
        block[hit, p] = block[hit, p] if block[hit, p] < 1.0 else 1.0


@step
def hit_classes(number, whole, at, row, block, mark, marks, r, n):
    """Hits of every class of one risk, capped at 1."""
    first, last = whole[at.first + r], whole[at.first + r + 1]
    for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
        exposure, hit = number[at.exposure + c], row.hit + c
        if last - first == 1:
            class_hit(block, exposure, row.severity + first, row.open + first, hit, n)
            continue
        fill(block, hit, 0.0, n)
        for o in range(first, last):
            if mark[marks.open + o]:
                add_class_hit(block, exposure, row.severity + o, row.open + o, hit, n)
        cap(block, hit, n)


@step
def sum_severity(whole, at, row, block, mark, marks, r, out, n):
    """out = sum over occurrences of S times what is open"""
    fill(block, out, 0.0, n)
    for o in range(whole[at.first + r], whole[at.first + r + 1]):
        if mark[marks.open + o]:
            add_product(block, out, row.severity + o, row.open + o, n)


@step
def sum_bases(whole, at, row, block, n):
    """Y0 of every profile."""
    for g in range(at.profiles):
        first, last = whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]
        copy(block, row.base + g, row.y0 + whole[at.profile_stream + first], n)
        for entry in range(first + 1, last):
            add(block, row.base + g, row.y0 + whole[at.profile_stream + entry], n)


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
                base = group_row(whole, at, whole[at.class_group + c], row.base, row.group_base)
                add_product(block, exposed + r, active, base, n)


@step
def respond(number, whole, at, row, funds, value, exhausted, struck, block, mark, marks, span, month, n):
    """Needs of the responses, what the funds cover of them, and the hits that are left."""
    sum_bases(whole, at, row, block, n)
    sum_groups(whole, at, row, block, row.base, row.group_base, n)
    if value.risks_kept:
        expose(number, whole, at, row, block, mark, marks, span, struck, value.exposed, month, n)
    for f in range(funds):
        fill(block, row.fund_need + f, 0.0, n)
    for r in range(at.risks):
        if mark[marks.risk_live + r] and whole[at.effectiveness + r] >= 0:
            need_row(number, whole, at, row, block, mark, marks, span, r, month, n)
            if whole[at.fund + r] >= 0:
                add(block, row.fund_need + whole[at.fund + r], row.need + r, n)
    for f in range(funds):
        pay(block, row.fund_need + f, value.fund_balance + f, row.cover + f + 1, value.fund_need + f, exhausted + f, n)
    for r in range(at.risks):
        if mark[marks.risk_live + r] == 0:
            continue
        if number[at.margin_loss + r] != 0.0:
            sum_severity(whole, at, row, block, mark, marks, r, row.open_severity + r, n)
        if whole[at.effectiveness + r] >= 0:
            cover = row.cover + whole[at.fund + r] + 1
            add_product(block, value.response_cost + r, cover, row.need + r, n)
            for o in range(whole[at.first + r], whole[at.first + r + 1]):
                if mark[marks.open + o]:
                    net_open(block, row.open + o, cover, row.effectiveness + o, row.answered + o, n)
        if number[at.churn + r] != 0.0:
            sum_severity(whole, at, row, block, mark, marks, r, row.net_severity + r, n)
        hit_classes(number, whole, at, row, block, mark, marks, r, n)


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
    release, loss = number[at.release + r], value.loss + r
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
def combine_four(block, a, b, c, d, kept, total, fresh, n):
    """kept = prod (1 - hit), total = sum of hits, four at a time; a row of zeros changes no digit."""
    if fresh:
        for p in range(n):
            block[kept, p] = (((1.0 - block[a, p]) * (1.0 - block[b, p])) * (1.0 - block[c, p])) * (1.0 - block[d, p])
            block[total, p] = ((block[a, p] + block[b, p]) + block[c, p]) + block[d, p]
    else:
        for p in range(n):
            left = (block[kept, p] * (1.0 - block[a, p])) * (1.0 - block[b, p])
            block[kept, p] = (left * (1.0 - block[c, p])) * (1.0 - block[d, p])
            block[total, p] = (((block[total, p] + block[a, p]) + block[b, p]) + block[c, p]) + block[d, p]


@step
def combine_eight(block, a, b, c, d, e, f, g, h, kept, total, n):
    """As `combine_four` for the first eight."""
    for p in range(n):
        left = (((1.0 - block[a, p]) * (1.0 - block[b, p])) * (1.0 - block[c, p])) * (1.0 - block[d, p])
        left = (((left * (1.0 - block[e, p])) * (1.0 - block[f, p])) * (1.0 - block[g, p])) * (1.0 - block[h, p])
        block[kept, p] = left
        four = ((block[a, p] + block[b, p]) + block[c, p]) + block[d, p]
        block[total, p] = (((four + block[e, p]) + block[f, p]) + block[g, p]) + block[h, p]


@step
def split(block, hit, loss, gain, n):
    """A hit into its loss (> 0) and its gain (< 0)."""
    for p in range(n):
        h = block[hit, p]
        block[loss, p] = h if h > 0.0 else 0.0
        block[gain, p] = h if h < 0.0 else 0.0


@step
def share_row(block, kept, total, base, share, lost, n):
    """Share of Y0 lost per unit of hit, and Y0 times it: losses share 1 - prod(1 - hit) in proportion to hit."""
    for p in range(n):
        whole = block[total, p]
        share_of = (1.0 - block[kept, p]) / (whole if whole > 0.0 else 1.0)
        share_of = share_of if whole > 0.0 else 0.0
        block[share, p] = share_of
        block[lost, p] = block[base, p] * share_of


@step
def gain_row(block, kept, gained, total_gain, base, gain, n):
    """Y0 gained per unit of (negative) hit: gains act on what is left; `kept` becomes the factor of Y0."""
    for p in range(n):
        whole = block[total_gain, p]
        share_of = block[kept, p] * (1.0 - block[gained, p]) / (whole if whole < 0.0 else 1.0)
        block[gain, p] = block[base, p] * (share_of if whole < 0.0 else 0.0)
    for p in range(n):
        block[kept, p] *= block[gained, p]


@step
def combine_profile(whole, at, row, block, mark, marks, g, n):
    """Combine the hits of all risks on one profile, four at a time; returns whether any is open and any may gain."""
    kept, total = row.kept + g, row.work
    gained, total_gain = row.work + 1, row.work + 2
    zero = row.zero
    a, b, c, d, e, f, last, hit = zero, zero, zero, zero, zero, zero, zero, zero
    waiting, found, signed = 0, False, False
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        hit_class = whole[at.profile_class + entry]
        r = whole[at.class_risk + hit_class]
        if mark[marks.risk_live + r] == 0:
            continue
        source = row.hit + hit_class
        if mark[marks.signed + r]:
            loss, gain = row.work + 4 + waiting, row.work + 3
            split(block, source, loss, gain, n)
            combine_four(block, gain, zero, zero, zero, gained, total_gain, not signed, n)
            source, signed = loss, True
        a, b, c, d, e, f, last, hit = b, c, d, e, f, last, hit, source
        waiting += 1
        if waiting == (4 if found else 8):
            if found:
                combine_four(block, e, f, last, hit, kept, total, False, n)
            else:
                combine_eight(block, a, b, c, d, e, f, last, hit, kept, total, n)
            a, b, c, d, e, f, last, hit = zero, zero, zero, zero, zero, zero, zero, zero
            waiting, found = 0, True
    if waiting > 4:
        combine_eight(block, a, b, c, d, e, f, last, hit, kept, total, n)
        found = True
    elif waiting > 0:
        combine_four(block, e, f, last, hit, kept, total, not found, n)
        found = True
    if found:
        share_row(block, kept, total, row.base + g, row.share + g, row.lost_base + g, n)
    if signed:
        gain_row(block, kept, gained, total_gain, row.base + g, row.gain_base + g, n)
    else:
        mark[marks.gainless + g] = 1
    return found


@step
def attribute_four(block, h1, h2, h3, h4, f1, f2, f3, f4, loss, n):
    """loss += hit times Y0 lost per unit of hit, for four classes"""
    for p in range(n):
        so_far = (block[loss, p] + block[h1, p] * block[f1, p]) + block[h2, p] * block[f2, p]
        block[loss, p] = (so_far + block[h3, p] * block[f3, p]) + block[h4, p] * block[f4, p]


@step
def attribute_signed(block, hit, per_hit, per_gain, loss, n):
    """As `attribute_four` for one class, gains as negative losses."""
    for p in range(n):
        lost, gained = block[per_hit, p], block[per_gain, p]
        block[loss, p] += block[hit, p] * (lost if block[hit, p] > 0.0 else gained)


@step
def attribute_risk(whole, at, row, block, r, loss, n):
    """Loss of one risk whose hits are no gains, four classes at a time."""
    first, last = whole[at.class_ptr + r], whole[at.class_ptr + r + 1]
    for c in range(first, last, 4):
        f1 = group_row(whole, at, whole[at.class_group + c], row.lost_base, row.group_lost)
        f2, f3, f4, h2, h3, h4 = row.zero, row.zero, row.zero, row.zero, row.zero, row.zero
        if c + 1 < last:
            h2, f2 = row.hit + c + 1, group_row(whole, at, whole[at.class_group + c + 1], row.lost_base, row.group_lost)
        if c + 2 < last:
            h3, f3 = row.hit + c + 2, group_row(whole, at, whole[at.class_group + c + 2], row.lost_base, row.group_lost)
        if c + 3 < last:
            h4, f4 = row.hit + c + 3, group_row(whole, at, whole[at.class_group + c + 3], row.lost_base, row.group_lost)
        attribute_four(block, row.hit + c, h2, h3, h4, f1, f2, f3, f4, loss, n)


@step
def _per_open(block, hit, uncapped, per_hit, per_gain, signed, out, n):
    """Loss per unit of what an occurrence adds to the hit of a class, before the cap."""
    for p in range(n):
        whole, capped = block[uncapped, p], block[hit, p]
        value = block[per_gain if signed and capped < 0.0 else per_hit, p]
        block[out, p] = value * capped / whole if whole != 0.0 else 0.0


@step
def _add_occurrence(block, exposure, severity, open_row, per_open, loss, n):
    """loss += min(1, exposure S) (o - a m oR) times the loss per unit of it"""
    for p in range(n):
        depth = exposure * block[severity, p]
        block[loss, p] += (depth if depth < 1.0 else 1.0) * block[open_row, p] * block[per_open, p]


@step
def attribute_occurrences(number, whole, at, row, block, mark, marks, r, losses, n):
    """Split this month's loss by a risk over its occurrences, by what each adds to the hits."""
    uncapped, per_open = row.work, row.work + 1
    first, last = whole[at.first + r], whole[at.first + r + 1]
    for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
        exposure, u = number[at.exposure + c], whole[at.class_group + c]
        per_hit = group_row(whole, at, u, row.lost_base, row.group_lost)
        per_gain = group_row(whole, at, u, row.gain_base, row.group_gain)
        fill(block, uncapped, 0.0, n)
        for o in range(first, last):
            if mark[marks.open + o]:
                add_class_hit(block, exposure, row.severity + o, row.open + o, uncapped, n)
        _per_open(block, row.hit + c, uncapped, per_hit, per_gain, mark[marks.signed + r] == 1, per_open, n)
        for o in range(first, last):
            if mark[marks.open + o]:
                _add_occurrence(block, exposure, row.severity + o, row.open + o, per_open, losses + o, n)


@step
def attribute_risks(number, whole, at, row, value, block, mark, marks, n):
    """Losses by risk: the hit of a class times the sum over its profiles of Y0 lost per unit of hit."""
    signed = False
    for r in range(at.risks):
        signed = signed or (mark[marks.risk_live + r] == 1 and mark[marks.signed + r] == 1)
    sum_groups(whole, at, row, block, row.lost_base, row.group_lost, n)
    if signed:
        for g in range(at.profiles):
            if mark[marks.gainless + g]:
                fill(block, row.gain_base + g, 0.0, n)
        sum_groups(whole, at, row, block, row.gain_base, row.group_gain, n)
    for r in range(at.risks):
        if mark[marks.risk_live + r] == 0:
            continue
        if value.occurrences_kept and whole[at.first + r + 1] - whole[at.first + r] > 1:
            attribute_occurrences(number, whole, at, row, block, mark, marks, r, value.occurrence_loss, n)
        if mark[marks.signed + r] == 0:
            attribute_risk(whole, at, row, block, r, value.loss + r, n)
            continue
        for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
            u = whole[at.class_group + c]
            per_hit = group_row(whole, at, u, row.lost_base, row.group_lost)
            per_gain = group_row(whole, at, u, row.gain_base, row.group_gain)
            attribute_signed(block, row.hit + c, per_hit, per_gain, value.loss + r, n)


@step
def defer(block, deferred, hit, base, per_hit, backlog, n):
    """backlog += deferred * max(loss, 0)"""
    for p in range(n):
        h = block[hit, p] if block[hit, p] > 0.0 else 0.0
        block[backlog, p] += deferred * block[base, p] * h * block[per_hit, p]


@step
def defer_losses(number, whole, at, row, block, mark, marks, n):
    """Part of this month's losses joins the backlogs."""
    for j in range(at.backlogs):
        r, c = whole[at.backlog_risk + j], whole[at.backlog_class + j]
        deferred = number[at.deferred + r]
        if mark[marks.risk_live + r] == 0 or deferred == 0.0:
            continue
        if mark[marks.backlog_live + j] == 0:
            fill(block, row.backlog + j, 0.0, n)
            mark[marks.backlog_live + j] = 1
        base, share = row.y0 + whole[at.backlog_stream + j], row.share + whole[at.backlog_profile + j]
        defer(block, deferred, row.hit + c, base, share, row.backlog + j, n)


@step
def erode(number, whole, at, row, block, mark, marks, g, n):
    """Fall of the gross margin of a profile's streams; returns whether there is any."""
    erosion = row.work
    found = False
    for entry in range(whole[at.erosion_ptr + g], whole[at.erosion_ptr + g + 1]):
        c = whole[at.erosion_class + entry]
        r = whole[at.class_risk + c]
        factor = number[at.margin_loss + r] * min(max(number[at.exposure + c], 0.0), 1.0)
        if mark[marks.risk_live + r] and factor != 0.0:
            if found:
                add_scaled(block, erosion, factor, row.open_severity + r, n)
            else:
                scaled(block, erosion, factor, row.open_severity + r, n)
                found = True
    return found


@step
def earn(block, base, kept, y, margin, eroded, erosion, out, n):
    """Y += Y0 kept, and the gross margin of it"""
    if eroded:
        for p in range(n):
            block[y, p] += block[base, p] * block[kept, p]
            block[out, p] = block[y, p] * (margin - block[erosion, p])
    else:
        for p in range(n):
            block[y, p] += block[base, p] * block[kept, p]
            block[out, p] = block[y, p] * margin


@step
def sell(number, whole, at, margins, row, value, block, mark, marks, n):
    """Revenue and gross margin of every stream this month, losses by risk."""
    any_hit = False
    for g in range(at.profiles):
        mark[marks.gainless + g] = 0
        hit = combine_profile(whole, at, row, block, mark, marks, g, n)
        if not hit:
            fill(block, row.share + g, 0.0, n)
            fill(block, row.lost_base + g, 0.0, n)
        any_hit = any_hit or hit
        eroded = erode(number, whole, at, row, block, mark, marks, g, n)
        for entry in range(whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]):
            i = whole[at.profile_stream + entry]
            kept = row.kept + g if hit else row.one
            earn(block, row.y0 + i, kept, row.y + i, number[margins + i], eroded, row.work, row.margin + i, n)
    if any_hit:
        attribute_risks(number, whole, at, row, value, block, mark, marks, n)
        defer_losses(number, whole, at, row, block, mark, marks, n)
