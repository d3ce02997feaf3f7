"""What risks do to revenue: needs and cover, hits, attribution, deferral, margin (model 3.4, 3.5, 3.8).

Streams that no risk tells apart form a profile; the streams of one exposure entry form a class, which is made of
profiles.
"""

from engine.kernels.jit import step
from engine.kernels.risks import NEVER, step_part
from engine.kernels.rows import add, add_product, add_scaled, copy, fill


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
def sum_four(block, out, a, b, c, d, fresh, n):
    """out (+)= a + b + c + d"""
    if fresh:
        for p in range(n):
            block[out, p] = ((block[a, p] + block[b, p]) + block[c, p]) + block[d, p]
    else:
        for p in range(n):
            block[out, p] = (((block[out, p] + block[a, p]) + block[b, p]) + block[c, p]) + block[d, p]


@step
def sum_profiles(whole, at, row, block, c, source, out, n):
    """Row that holds the sum over a class's profiles: the profile's own row where there is one, else `out`."""
    first, last = whole[at.class_profile_ptr + c], whole[at.class_profile_ptr + c + 1]
    if last - first == 1:
        return source + whole[at.class_profile + first]
    for entry in range(first, last, 4):
        a = source + whole[at.class_profile + entry]
        b = source + whole[at.class_profile + entry + 1] if entry + 1 < last else row.zero
        d = source + whole[at.class_profile + entry + 2] if entry + 2 < last else row.zero
        e = source + whole[at.class_profile + entry + 3] if entry + 3 < last else row.zero
        sum_four(block, out, a, b, d, e, entry == first, n)
    return out


@step
def add_stake(block, exposure, severity, base, out, fresh, n):
    """out (+)= Y0 min(1, exposure S)"""
    if fresh:
        for p in range(n):
            depth = exposure * block[severity, p]
            block[out, p] = block[base, p] * (depth if depth < 1.0 else 1.0)
    else:
        for p in range(n):
            depth = exposure * block[severity, p]
            block[out, p] += block[base, p] * (depth if depth < 1.0 else 1.0)


@step
def add_protected(block, stake, answered, effectiveness, out, n):
    """out += stake oR min(m, 1)"""
    for p in range(n):
        m = block[effectiveness, p] if block[effectiveness, p] < 1.0 else 1.0
        block[out, p] += block[stake, p] * block[answered, p] * m


@step
def need_row(number, whole, at, row, block, mark, marks, span, r, month, n):
    """Money that the response of risk r asks for this month."""
    out, stake = row.need + r, row.work
    fill(block, out, 0.0, n)
    ratio, monthly = number[at.cost_ratio + r], number[at.cost_month + r]
    if ratio > 0.0:
        first, last = whole[at.class_ptr + r], whole[at.class_ptr + r + 1]
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if mark[marks.open + o]:
                for c in range(first, last):
                    base = sum_profiles(whole, at, row, block, c, row.base, row.work + 1, n)
                    add_stake(block, number[at.exposure + c], row.severity + o, base, stake, c == first, n)
                add_protected(block, stake, row.answered + o, row.effectiveness + o, out, n)
        for p in range(n):
            value = ratio * block[out, p]
            block[out, p] = value if value > 0.0 else 0.0
    if monthly > 0.0:
        share, reached = row.work + 1, row.work + 2
        fill(block, share, 0.0, n)
        fill(block, reached, -NEVER, n)
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if span[0, o] >= NEVER:
                break
            cover_intervals(block, row.respond + o, row.end + o, reached, share, float(month), n)
        add_scaled(block, out, monthly, share, n)


@step
def pay(block, need, balance, cover, total_need, exhausted, n):
    """Cover the needs of one fund alike: a = min(1, balance / need), 1 where nothing is needed."""
    for p in range(n):
        short = block[need, p] > block[balance, p]
        block[cover, p] = block[balance, p] / block[need, p] if short else 1.0
    for p in range(n):
        block[exhausted, p] = 1.0 if block[need, p] > block[balance, p] else block[exhausted, p]
    for p in range(n):
        left = block[balance, p] - block[need, p]
        block[balance, p] = left if left > 0.0 else 0.0
    add(block, total_need, need, n)


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
def respond(number, whole, at, row, funds, value, exhausted, block, mark, marks, span, month, n):
    """Needs of the responses, what the funds cover of them, and the hits that are left."""
    sum_bases(whole, at, row, block, n)
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
def return_deferred(number, whole, at, row, value, streams, block, mark, marks, span, month, n):
    """Give back what was deferred in earlier months; the rows of revenue start with it."""
    for i in range(streams):
        fill(block, row.y + i, 0.0, n)
    active, reached = row.work, row.work + 1
    done = -1
    for j in range(at.backlogs):
        if mark[marks.backlog_live + j] == 0:
            continue
        r = whole[at.backlog_risk + j]
        if r != done:
            fill(block, active, 0.0, n)
            fill(block, reached, -NEVER, n)
            for o in range(whole[at.first + r], whole[at.first + r + 1]):
                if span[0, o] >= NEVER:
                    break
                cover_intervals(block, row.start + o, row.end + o, reached, active, float(month), n)
            done = r
        stream = row.y + whole[at.backlog_stream + j]
        give_back(block, number[at.release + r], active, row.backlog + j, stream, value.loss + r, n)


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
def split(block, hit, loss, gain, n):
    """A hit into its loss (> 0) and its gain (< 0)."""
    for p in range(n):
        h = block[hit, p]
        block[loss, p] = h if h > 0.0 else 0.0
        block[gain, p] = h if h < 0.0 else 0.0


@step
def share_row(block, kept, total, share, n):
    """Share of Y0 lost per unit of hit: losses share 1 - prod(1 - hit) in proportion to hit."""
    for p in range(n):
        whole = block[total, p]
        share_of = (1.0 - block[kept, p]) / (whole if whole > 0.0 else 1.0)
        block[share, p] = share_of if whole > 0.0 else 0.0


@step
def gain_row(block, kept, gained, total_gain, share, n):
    """Share of Y0 gained per unit of (negative) hit: gains act on what is left; `kept` becomes the factor of Y0."""
    for p in range(n):
        whole = block[total_gain, p]
        share_of = block[kept, p] * (1.0 - block[gained, p]) / (whole if whole < 0.0 else 1.0)
        block[share, p] = share_of if whole < 0.0 else 0.0
    for p in range(n):
        block[kept, p] *= block[gained, p]


@step
def combine_profile(whole, at, row, block, mark, marks, g, n):
    """Combine the hits of all risks on one profile, four at a time; returns whether any is open and any may gain."""
    kept, total = row.kept + g, row.work
    gained, total_gain = row.work + 1, row.work + 2
    a, b, c, d = row.zero, row.zero, row.zero, row.zero
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
            combine_four(block, gain, row.zero, row.zero, row.zero, gained, total_gain, not signed, n)
            source, signed = loss, True
        a, b, c, d = b, c, d, source
        waiting += 1
        if waiting == 4:
            combine_four(block, a, b, c, d, kept, total, not found, n)
            a, b, c, d = row.zero, row.zero, row.zero, row.zero
            waiting, found = 0, True
    if waiting > 0:
        combine_four(block, a, b, c, d, kept, total, not found, n)
        found = True
    if found:
        share_row(block, kept, total, row.share + g, n)
    if signed:
        gain_row(block, kept, gained, total_gain, row.gain + g, n)
    elif found:
        fill(block, row.gain + g, 0.0, n)
    return found


@step
def attribute(block, hit, per_hit, loss, n):
    """loss += hit times the revenue lost per unit of hit"""
    for p in range(n):
        block[loss, p] += block[hit, p] * block[per_hit, p]


@step
def attribute_signed(block, hit, per_hit, per_gain, loss, n):
    """As `attribute`, gains as negative losses."""
    for p in range(n):
        lost, gained = block[per_hit, p], block[per_gain, p]
        block[loss, p] += block[hit, p] * (lost if block[hit, p] > 0.0 else gained)


@step
def scale(block, out, base, factor, n):
    """out = base * factor"""
    for p in range(n):
        block[out, p] = block[base, p] * block[factor, p]


@step
def attribute_risks(whole, at, row, value, block, mark, marks, n):
    """Losses by risk: the hit of a class times the sum over its profiles of Y0 lost per unit of hit."""
    signed = False
    for r in range(at.risks):
        signed = signed or (mark[marks.risk_live + r] == 1 and mark[marks.signed + r] == 1)
    for g in range(at.profiles):
        scale(block, row.lost_base + g, row.base + g, row.share + g, n)
        if signed:
            scale(block, row.gain_base + g, row.base + g, row.gain + g, n)
    for c in range(at.classes):
        r = whole[at.class_risk + c]
        if mark[marks.risk_live + r] == 0:
            continue
        per_hit = sum_profiles(whole, at, row, block, c, row.lost_base, row.work, n)
        if mark[marks.signed + r]:
            per_gain = sum_profiles(whole, at, row, block, c, row.gain_base, row.work + 1, n)
            attribute_signed(block, row.hit + c, per_hit, per_gain, value.loss + r, n)
        else:
            attribute(block, row.hit + c, per_hit, value.loss + r, n)


@step
def defer(block, deferred, hit, base, per_hit, backlog, n):
    """backlog += deferred * max(loss, 0)"""
    for p in range(n):
        h = block[hit, p] if block[hit, p] > 0.0 else 0.0
        block[backlog, p] += deferred * block[base, p] * h * block[per_hit, p]


@step
def defer_losses(number, whole, at, row, block, mark, marks, n):
    """Part of this month's losses joins the backlogs."""
    for g in range(at.profiles):
        for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
            c = whole[at.profile_class + entry]
            r = whole[at.class_risk + c]
            deferred = number[at.deferred + r]
            if mark[marks.risk_live + r] == 0 or deferred == 0.0:
                continue
            for j in range(whole[at.backlog_ptr + entry], whole[at.backlog_ptr + entry + 1]):
                if mark[marks.backlog_live + j] == 0:
                    fill(block, row.backlog + j, 0.0, n)
                    mark[marks.backlog_live + j] = 1
                base = row.y0 + whole[at.backlog_stream + j]
                defer(block, deferred, row.hit + c, base, row.share + g, row.backlog + j, n)


@step
def erode(number, whole, at, row, block, mark, marks, g, n):
    """Fall of the gross margin of a profile's streams; returns whether there is any."""
    erosion = row.work
    found = False
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        r = whole[at.class_risk + c]
        factor = number[at.margin_loss + r] * min(max(number[at.exposure + c], 0.0), 1.0)
        if mark[marks.risk_live + r] and factor != 0.0:
            if not found:
                fill(block, erosion, 0.0, n)
                found = True
            add_scaled(block, erosion, factor, row.open_severity + r, n)
    return found


@step
def sell(number, whole, at, margins, row, value, block, mark, marks, n):
    """Revenue and gross margin of every stream this month, losses by risk."""
    any_hit = False
    for g in range(at.profiles):
        hit = combine_profile(whole, at, row, block, mark, marks, g, n)
        if not hit:
            fill(block, row.share + g, 0.0, n)
            fill(block, row.gain + g, 0.0, n)
        any_hit = any_hit or hit
        eroded = erode(number, whole, at, row, block, mark, marks, g, n)
        for entry in range(whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]):
            i = whole[at.profile_stream + entry]
            y, margin, share = row.y + i, row.margin + i, number[margins + i]
            if hit:
                add_product(block, y, row.y0 + i, row.kept + g, n)
            else:
                add(block, y, row.y0 + i, n)
            if eroded:
                for p in range(n):
                    block[margin, p] = block[y, p] * (share - block[row.work, p])
            else:
                for p in range(n):
                    block[margin, p] = share * block[y, p]
    if any_hit:
        attribute_risks(whole, at, row, value, block, mark, marks, n)
        defer_losses(number, whole, at, row, block, mark, marks, n)
