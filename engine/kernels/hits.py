"""What risks do to revenue: needs and cover, hits, attribution, deferral, margin (model 3.4, 3.5, 3.8)."""

from engine.kernels.jit import compiled
from engine.kernels.risks import NEVER, step_part
from engine.kernels.rows import add, add_product, add_scaled, fill


@compiled
def cover_intervals(block, begin, end, reached, out, month, n):
    """Add to `out` the part of the month in [begin, end] that earlier intervals, which end by `reached`, leave open."""
    for p in range(n):
        low = block[begin, p] if block[begin, p] > block[reached, p] else block[reached, p]
        block[out, p] += step_part(low, block[end, p], month)
    for p in range(n):
        later = (block[end, p] > block[reached, p]) & (block[begin, p] < NEVER)
        block[reached, p] = block[end, p] if later else block[reached, p]


@compiled
def need_row(number, whole, at, row, block, span, r, month, n):
    """Money that the response of risk r asks for this month."""
    out, base = row.need + r, row.work
    fill(block, out, 0.0, n)
    ratio, monthly = number[at.cost_ratio + r], number[at.cost_month + r]
    if ratio > 0.0:
        for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
            fill(block, base, 0.0, n)
            for entry in range(whole[at.member_ptr + c], whole[at.member_ptr + c + 1]):
                add(block, base, row.y0 + whole[at.member + entry], n)
            add_product(block, out, base, row.stake + c, n)
        for p in range(n):
            block[out, p] = ratio * block[out, p]
    if monthly > 0.0:
        share, reached = row.work + 1, row.work + 2
        fill(block, share, 0.0, n)
        fill(block, reached, -NEVER, n)
        for o in range(whole[at.first + r], whole[at.first + r + 1]):
            if span[0, o] >= NEVER:
                break
            cover_intervals(block, row.respond + o, row.end + o, reached, share, float(month), n)
        for p in range(n):
            block[out, p] = (block[out, p] if block[out, p] > 0.0 else 0.0) + monthly * block[share, p]
    for p in range(n):
        block[out, p] = block[out, p] if block[out, p] > 0.0 else 0.0


@compiled
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


@compiled
def net_hit(block, hit, undone, cover, n):
    """hit = min(1, hit - a * undone)"""
    for p in range(n):
        value = block[hit, p] - block[cover, p] * block[undone, p]
        block[hit, p] = value if value < 1.0 else 1.0


@compiled
def cap(block, hit, n):
    """hit = min(1, hit)"""
    for p in range(n):
        block[hit, p] = block[hit, p] if block[hit, p] < 1.0 else 1.0


@compiled
def respond(number, whole, at, row, funds, value, exhausted, block, mark, live, span, month, n):
    """Needs of the responses, what the funds cover of them, and the hits that are left."""
    for f in range(funds):
        fill(block, row.fund_need + f, 0.0, n)
    for r in range(at.risks):
        if mark[live + r] and whole[at.effectiveness + r] >= 0:
            need_row(number, whole, at, row, block, span, r, month, n)
            if whole[at.fund + r] >= 0:
                add(block, row.fund_need + whole[at.fund + r], row.need + r, n)
    for f in range(funds):
        pay(block, row.fund_need + f, value.fund_balance + f, row.cover + f + 1, value.fund_need + f, exhausted + f, n)
    for r in range(at.risks):
        if mark[live + r] == 0:
            continue
        answers = whole[at.effectiveness + r] >= 0
        cover = row.cover + whole[at.fund + r] + 1
        if answers:
            add_product(block, value.response_cost + r, cover, row.need + r, n)
        for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
            if answers:
                net_hit(block, row.hit + c, row.undone + c, cover, n)
            else:
                cap(block, row.hit + c, n)


@compiled
def give_back(block, release, active, backlog, returned, loss, n):
    """Release part of a backlog in the free part of the month; `returned` is revenue, `loss` falls by it."""
    for p in range(n):
        back = release * (1.0 - block[active, p]) * block[backlog, p]
        block[returned, p] += back
        block[loss, p] -= back
        block[backlog, p] -= back


@compiled
def return_deferred(number, whole, at, row, value, streams, block, mark, backlog_live, span, month, n):
    """Give back what was deferred in earlier months; the rows of revenue start with it."""
    for i in range(streams):
        fill(block, row.y + i, 0.0, n)
    active, reached = row.work, row.work + 1
    done = -1
    for j in range(at.backlogs):
        if mark[backlog_live + j] == 0:
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


@compiled
def combine(block, hit, kept, total, n):
    """kept *= 1 - hit; total += hit"""
    for p in range(n):
        block[kept, p] *= 1.0 - block[hit, p]
    for p in range(n):
        block[total, p] += block[hit, p]


@compiled
def combine_signed(block, hit, kept, total, gained, total_gain, n):
    """As `combine`, losses (hit > 0) and gains (hit < 0) apart."""
    for p in range(n):
        h = block[hit, p] if block[hit, p] > 0.0 else 0.0
        block[kept, p] *= 1.0 - h
        block[total, p] += h
    for p in range(n):
        h = block[hit, p] if block[hit, p] < 0.0 else 0.0
        block[gained, p] *= 1.0 - h
        block[total_gain, p] += h


@compiled
def shares(block, kept, total, gained, total_gain, signed, n):
    """Turn the totals into the share of Y0 lost per unit of hit, and `kept` into the factor of Y0.

    Losses share 1 - prod(1 - hit) in proportion to hit. Gains act on what is left and share it likewise, as negative losses.
    """
    for p in range(n):
        block[total, p] = (1.0 - block[kept, p]) / block[total, p] if block[total, p] > 0.0 else 0.0
    if signed:
        for p in range(n):
            gain = block[kept, p] * (1.0 - block[gained, p])
            block[total_gain, p] = gain / block[total_gain, p] if block[total_gain, p] < 0.0 else 0.0
        for p in range(n):
            block[kept, p] *= block[gained, p]


@compiled
def attribute(block, hit, base, per_hit, loss, n):
    """loss += Y0 hit (share of Y0 lost per unit of hit)"""
    for p in range(n):
        block[loss, p] += block[base, p] * block[hit, p] * block[per_hit, p]


@compiled
def attribute_signed(block, hit, base, per_hit, per_gain, loss, n):
    """As `attribute`, gains as negative losses."""
    for p in range(n):
        share = block[per_hit, p] if block[hit, p] > 0.0 else block[per_gain, p]
        block[loss, p] += block[base, p] * block[hit, p] * share


@compiled
def defer(block, deferred, hit, base, per_hit, backlog, n):
    """backlog += deferred * max(loss, 0)"""
    for p in range(n):
        h = block[hit, p] if block[hit, p] > 0.0 else 0.0
        block[backlog, p] += deferred * block[base, p] * h * block[per_hit, p]


@compiled
def _survey(whole, at, mark, live, g):
    """How many classes of a profile are live, and whether any of them may gain."""
    count, signed = 0, False
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        if mark[live + whole[at.class_risk + c]]:
            count += 1
            signed = signed or whole[at.signed + c] == 1
    return count, signed


@compiled
def _combine_profile(whole, at, row, block, mark, live, g, signed, n):
    kept, total, gained, total_gain, base = row.profile, row.profile + 1, row.profile + 2, row.profile + 3, row.profile + 4
    fill(block, kept, 1.0, n)
    fill(block, total, 0.0, n)
    fill(block, base, 0.0, n)
    if signed:
        fill(block, gained, 1.0, n)
        fill(block, total_gain, 0.0, n)
    for entry in range(whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]):
        add(block, base, row.y0 + whole[at.profile_stream + entry], n)
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        if mark[live + whole[at.class_risk + c]] == 0:
            continue
        if signed:
            combine_signed(block, row.hit + c, kept, total, gained, total_gain, n)
        else:
            combine(block, row.hit + c, kept, total, n)
    shares(block, kept, total, gained, total_gain, signed, n)


@compiled
def hit_profile(number, whole, at, row, value, block, mark, live, backlog_live, g, n):
    """Hits of one profile: the factor of its revenue, losses by risk, backlogs; returns whether any risk is live."""
    count, signed = _survey(whole, at, mark, live, g)
    if count == 0:
        return False
    total, total_gain, base = row.profile + 1, row.profile + 3, row.profile + 4
    _combine_profile(whole, at, row, block, mark, live, g, signed, n)
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        r = whole[at.class_risk + c]
        if mark[live + r] == 0:
            continue
        if signed:
            attribute_signed(block, row.hit + c, base, total, total_gain, value.loss + r, n)
        else:
            attribute(block, row.hit + c, base, total, value.loss + r, n)
        deferred = number[at.deferred + r]
        if deferred > 0.0:
            for j in range(whole[at.backlog_ptr + entry], whole[at.backlog_ptr + entry + 1]):
                if mark[backlog_live + j] == 0:
                    fill(block, row.backlog + j, 0.0, n)
                    mark[backlog_live + j] = 1
                defer(block, deferred, row.hit + c, row.y0 + whole[at.backlog_stream + j], total, row.backlog + j, n)
    return True


@compiled
def erode(number, whole, at, row, block, mark, live, g, n):
    """Fall of the gross margin of a profile's streams; returns whether there is any."""
    erosion = row.profile + 5
    found = False
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        r = whole[at.class_risk + c]
        factor = number[at.margin_loss + r] * min(max(number[at.exposure + c], 0.0), 1.0)
        if mark[live + r] and factor != 0.0:
            if not found:
                fill(block, erosion, 0.0, n)
                found = True
            add_scaled(block, erosion, factor, row.open_severity + r, n)
    return found


@compiled
def sell(number, whole, at, margins, row, value, block, mark, live, backlog_live, n):
    """Revenue and gross margin of every stream this month."""
    kept, erosion = row.profile, row.profile + 5
    for g in range(at.profiles):
        hit = hit_profile(number, whole, at, row, value, block, mark, live, backlog_live, g, n)
        eroded = erode(number, whole, at, row, block, mark, live, g, n)
        for entry in range(whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]):
            i = whole[at.profile_stream + entry]
            y, margin, share = row.y + i, row.margin + i, number[margins + i]
            if hit:
                add_product(block, y, row.y0 + i, kept, n)
            else:
                add(block, y, row.y0 + i, n)
            if eroded:
                for p in range(n):
                    block[margin, p] = block[y, p] * (share - block[erosion, p])
            else:
                for p in range(n):
                    block[margin, p] = share * block[y, p]
