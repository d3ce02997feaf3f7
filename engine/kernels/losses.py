"""What hits do to revenue and margin, and which risk took it (model 3.5, 3.8)."""

from engine.kernels.backlog import defer_losses
from engine.kernels.hits import add_class_hit
from engine.kernels.jit import step
from engine.kernels.profiles import group_row, sum_groups
from engine.kernels.rows import add_scaled, fill, scaled


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
        if value.losses_kept:
            attribute_risks(number, whole, at, row, value, block, mark, marks, n)
        defer_losses(number, whole, at, row, block, mark, marks, n)
