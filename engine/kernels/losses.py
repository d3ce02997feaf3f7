"""What hits do to revenue and margin, and which risk took it (model 3.5, 3.8)."""

from engine.kernels.backlog import carry_stream, open_backlogs, owe
from engine.kernels.hits import add_class_hit
from engine.kernels.jit import lane, part, step
from engine.kernels.profiles import sum_class, sum_groups
from engine.kernels.rows import add_product, add_scaled, fill, listed, scaled


@part
def combine_eight(block, a, b, c, d, e, f, g, h, kept, total, n):
    """kept = prod (1 - hit), total = sum of hits, of eight hits; a row of zeros changes no digit."""
    for p in range(n):
        left = (((1.0 - block[a, p]) * (1.0 - block[b, p])) * (1.0 - block[c, p])) * (1.0 - block[d, p])
        left = (((left * (1.0 - block[e, p])) * (1.0 - block[f, p])) * (1.0 - block[g, p])) * (1.0 - block[h, p])
        block[kept, p] = left
        four = ((block[a, p] + block[b, p]) + block[c, p]) + block[d, p]
        block[total, p] = (((four + block[e, p]) + block[f, p]) + block[g, p]) + block[h, p]


@step
def combine_four(block, a, b, c, d, kept, total, n):
    """Combine four more hits."""
    for p in range(n):
        left = (block[kept, p] * (1.0 - block[a, p])) * (1.0 - block[b, p])
        block[kept, p] = (left * (1.0 - block[c, p])) * (1.0 - block[d, p])
        block[total, p] = (((block[total, p] + block[a, p]) + block[b, p]) + block[c, p]) + block[d, p]


@part
def share_four(block, so_far, before, a, b, c, d, base, kept, share, lost, n):
    """Combine the last four hits, and the share of Y0 lost per unit of hit, and Y0 times it.

    Losses share 1 - prod(1 - hit) in proportion to hit; the rows `so_far` and `before` hold product and sum of the
    other hits.
    """
    for p in range(n):
        left = (block[so_far, p] * (1.0 - block[a, p])) * (1.0 - block[b, p])
        left = (left * (1.0 - block[c, p])) * (1.0 - block[d, p])
        total = (((block[before, p] + block[a, p]) + block[b, p]) + block[c, p]) + block[d, p]
        share_of = (1.0 - left) / (total if total > 0.0 else 1.0)
        share_of = share_of if total > 0.0 else 0.0
        block[kept, p] = left
        block[share, p] = share_of
        block[lost, p] = block[base, p] * share_of


@lane
def gain_share(left, times, total):
    """Share of Y0 gained per unit of (negative) hit: gains act on what is left and share it as losses do."""
    share_of = left * (1.0 - times) / (total if total < 0.0 else 1.0)
    return share_of if total < 0.0 else 0.0


@part
def gain_one(block, only, base, kept, gain, n):
    """Y0 gained per unit of the only gain on a profile; `kept` becomes the factor of Y0."""
    for p in range(n):
        left, times = block[kept, p], 1.0 - block[only, p]
        block[gain, p] = block[base, p] * gain_share(left, times, block[only, p])
        block[kept, p] = left * times


@step
def gain_row(block, gained, total, base, kept, gain, n):
    """As `gain_one`, to the last digit, for several gains, of which the rows hold prod (1 - gain) and the sum."""
    for p in range(n):
        left, times = block[kept, p], block[gained, p]
        block[gain, p] = block[base, p] * gain_share(left, times, block[total, p])
        block[kept, p] = left * times


@step
def add_gain(block, gain, gained, total, n):
    """Combine one more gain with those before it."""
    for p in range(n):
        block[gained, p] *= 1.0 - block[gain, p]
        block[total, p] += block[gain, p]


@part
def combine_losses(row, block, mark, hits, last, g, n):
    """Combine the hits of the list hits..last-1 of `mark` on one profile, many in a loop."""
    zero, so_far, before = row.zero, row.one, row.zero
    final = hits + (last - hits - 1) // 4 * 4
    if final > hits:
        so_far, before = row.work, row.work + 1
        combine_eight(
            block, mark[hits], mark[hits + 1], mark[hits + 2], mark[hits + 3], listed(mark, hits + 4, final, 0, zero),
            listed(mark, hits + 5, final, 0, zero), listed(mark, hits + 6, final, 0, zero),
            listed(mark, hits + 7, final, 0, zero), so_far, before, n,
        )  # fmt: skip
        for entry in range(hits + 8, final, 4):
            combine_four(
                block, mark[entry], mark[entry + 1], mark[entry + 2], mark[entry + 3], so_far, before, n
            )  # fmt: skip
    share_four(
        block, so_far, before, mark[final], listed(mark, final + 1, last, 0, zero),
        listed(mark, final + 2, last, 0, zero), listed(mark, final + 3, last, 0, zero), row.base + g, row.kept,
        row.share, row.lost_base + g, n,
    )  # fmt: skip


@part
def combine_gains(whole, at, row, block, mark, marks, g, gains, only, n):
    """Let the gains of all signed risks act on one profile; `only` is the row of the gain where there is one alone."""
    if gains == 1:
        gain_one(block, only, row.base + g, row.kept, row.gain_base + g, n)
        return
    gained, total = row.work, row.work + 1
    fill(block, gained, 1.0, n)
    fill(block, total, 0.0, n)
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        r = whole[at.class_risk + c]
        if mark[marks.risk_live + r] and mark[marks.signed + r]:
            add_gain(block, row.gain + c, gained, total, n)
    gain_row(block, gained, total, row.base + g, row.kept, row.gain_base + g, n)


@part
def combine_profile(whole, at, row, block, mark, marks, g, n):
    """Combine the hits of all risks on one profile; returns whether any is open."""
    last, gains, only = marks.combined, 0, row.zero
    for entry in range(whole[at.profile_ptr + g], whole[at.profile_ptr + g + 1]):
        c = whole[at.profile_class + entry]
        r = whole[at.class_risk + c]
        if mark[marks.risk_live + r]:
            mark[last] = row.hit + c
            last += 1
            if mark[marks.signed + r]:
                gains, only = gains + 1, row.gain + c
    if last > marks.combined:
        combine_losses(row, block, mark, marks.combined, last, g, n)
    if gains > 0:
        combine_gains(whole, at, row, block, mark, marks, g, gains, only, n)
    return last > marks.combined


@part
def attribute_four(block, h1, h2, h3, h4, f1, f2, f3, f4, loss, n):
    """loss += hit times Y0 lost per unit of hit, for four classes"""
    for p in range(n):
        so_far = (block[loss, p] + block[h1, p] * block[f1, p]) + block[h2, p] * block[f2, p]
        block[loss, p] = (so_far + block[h3, p] * block[f3, p]) + block[h4, p] * block[f4, p]


@step
def attribute_two(block, h1, h2, f1, f2, loss, n):
    """As `attribute_four`, for two."""
    for p in range(n):
        block[loss, p] = (block[loss, p] + block[h1, p] * block[f1, p]) + block[h2, p] * block[f2, p]


@part
def _attributed(whole, at, row, c, last):
    """Rows of the hit of a class and of its Y0 lost per unit of hit; nothing beyond the last class."""
    return (row.hit + c, row.lost_base + whole[at.class_place + c]) if c < last else (row.zero, row.zero)


@step
def attribute_risk(whole, at, row, block, r, loss, n):
    """Loss of one risk, without its gains, four classes at a time."""
    first, last = whole[at.class_ptr + r], whole[at.class_ptr + r + 1]
    for c in range(first, last, 4):
        h1, f1 = _attributed(whole, at, row, c, last)
        h2, f2 = _attributed(whole, at, row, c + 1, last)
        if c + 2 >= last:
            attribute_two(block, h1, h2, f1, f2, loss, n)
            continue
        h3, f3 = _attributed(whole, at, row, c + 2, last)
        h4, f4 = _attributed(whole, at, row, c + 3, last)
        attribute_four(block, h1, h2, h3, h4, f1, f2, f3, f4, loss, n)


@step
def _per_open(block, hit, gain, uncapped, per_hit, per_gain, out, n):
    """Loss per unit of what an occurrence adds to the hit of a class, before the cap."""
    for p in range(n):
        whole, capped = block[uncapped, p], block[hit, p] + block[gain, p]
        value = block[per_gain if capped < 0.0 else per_hit, p]
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
        exposure, place = number[at.exposure + c], whole[at.class_place + c]
        per_hit, per_gain = row.lost_base + place, row.gain_base + place
        fill(block, uncapped, 0.0, n)
        for o in range(first, last):
            if mark[marks.open + o]:
                add_class_hit(block, exposure, row.severity + o, row.open + o, uncapped, n)
        gain, gains_per_unit = (row.gain + c, per_gain) if mark[marks.signed + r] else (row.zero, row.zero)
        _per_open(block, row.hit + c, gain, uncapped, per_hit, gains_per_unit, per_open, n)
        for o in range(first, last):
            if mark[marks.open + o]:
                _add_occurrence(block, exposure, row.severity + o, row.open + o, per_open, losses + o, n)


@step
def attribute_risks(number, whole, at, row, value, block, mark, marks, n):
    """Losses by risk: the hit of a class times the sum over its profiles of Y0 lost per unit of hit."""
    sum_groups(whole, at, row.zero, block, row.lost_base, n)
    for r in range(at.risks):
        if mark[marks.risk_live + r] == 0:
            continue
        if mark[marks.signed + r]:
            for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
                sum_class(whole, at, row.zero, block, row.gain_base, c, n)
        if value.occurrences_kept and whole[at.first + r + 1] - whole[at.first + r] > 1:
            attribute_occurrences(number, whole, at, row, block, mark, marks, r, value.occurrence_loss, n)
        if mark[marks.backlog_live + r]:
            lost = row.work
            fill(block, lost, 0.0, n)
            attribute_risk(whole, at, row, block, r, lost, n)
            owe(block, number[at.deferred + r], lost, row.owed + r, value.loss + r, n)
        else:
            attribute_risk(whole, at, row, block, r, value.loss + r, n)
        if mark[marks.signed + r]:
            for c in range(whole[at.class_ptr + r], whole[at.class_ptr + r + 1]):
                add_product(block, value.loss + r, row.gain + c, row.gain_base + whole[at.class_place + c], n)


@part
def erode(number, whole, at, row, block, mark, marks, g, n):
    """Fall of the gross margin of a profile's streams: a factor, and the row that it multiplies."""
    found, only, row_of_only = 0, 0.0, row.zero
    for entry in range(whole[at.erosion_ptr + g], whole[at.erosion_ptr + g + 1]):
        c = whole[at.erosion_class + entry]
        r = whole[at.class_risk + c]
        factor = number[at.margin_loss + r] * min(max(number[at.exposure + c], 0.0), 1.0)
        if mark[marks.risk_live + r] == 0 or factor == 0.0:
            continue
        found += 1
        if found == 1:
            only, row_of_only = factor, row.open_severity + r
            continue
        if found == 2:
            scaled(block, row.work, only, row_of_only, n)
        add_scaled(block, row.work, factor, row.open_severity + r, n)
    return (1.0, row.work) if found > 1 else (only, row_of_only)


@part
def earn(block, returned, base, kept, margin, factor, erosion, y, out, total, n):
    """Y = what comes back + Y0 kept, the gross margin of it, and the total of the year."""
    for p in range(n):
        revenue = block[returned, p] + block[base, p] * block[kept, p]
        block[y, p] = revenue
        block[out, p] = revenue * (margin - factor * block[erosion, p])
        block[total, p] += revenue


@step
def sell(number, whole, at, margins, places, row, value, block, mark, marks, span, month, n):
    """Revenue and gross margin of every stream this month, losses by risk."""
    any_hit = False
    open_backlogs(number, whole, at, row, value, block, mark, marks, span, month, n)
    for g in range(at.profiles):
        hit = combine_profile(whole, at, row, block, mark, marks, g, n)
        if not hit:
            fill(block, row.lost_base + g, 0.0, n)
        any_hit = any_hit or hit
        kept, share = (row.kept, row.share) if hit else (row.one, row.zero)
        factor, erosion = erode(number, whole, at, row, block, mark, marks, g, n)
        for entry in range(whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]):
            i = whole[at.profile_stream + entry]
            base, margin = row.base + whole[places + i], number[margins + i]
            returned = carry_stream(number, whole, at, row, block, mark, marks, i, base, share, n)
            y, out, total = row.y + i, row.margin + i, value.stream_revenue + i
            earn(block, returned, base, kept, margin, factor, erosion, y, out, total, n)
    if any_hit and value.losses_kept:
        attribute_risks(number, whole, at, row, value, block, mark, marks, n)
