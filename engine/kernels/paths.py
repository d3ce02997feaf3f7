"""What is drawn for a block of paths: occurrences, effectiveness, slips, and the months' shocks and noises."""

from engine.kernels.demand import COMMON, OWN
from engine.kernels.jit import step
from engine.kernels.layout import SLOTS_PER_RISK, SWITCHABLE
from engine.kernels.philox import uniforms
from engine.kernels.risks import NEVER, draw_field, note_span, settle, start_by_probability, start_by_rate, switch_off
from engine.kernels.rows import add_scaled, copy, fill, largest, take_given
from engine.kernels.variates import CONSTANT, narrow_normals, normal_cdf, normal_row


@step
def link(number, whole, at, row, block, n, stream, k, k0, k1, given):
    """Uniforms of the correlated drivers for the occurrence k: u' = Phi(L z), z from the drivers' own addresses."""
    for j in range(at.members):
        z = row.linked_normal + j
        if k == 0 and given.shape[0] > 0:
            take_given(block, z, given, whole[at.given_row + j], n)
        else:
            slot = whole[at.slot + j]
            uniforms(block, row.uniform, row.path, n, stream, whole[at.driver + j], 2 * k + slot // 4, k0, k1)
            copy(block, z, row.uniform + slot % 4, n)
        normal_row(block, z, n)
    for j in range(at.members):
        out = row.linked + j
        fill(block, out, 0.0, n)
        for other in range(j + 1):
            weight = number[at.factor + j * at.members + other]
            if weight != 0.0:
                add_scaled(block, out, weight, row.linked_normal + other, n)
        for p in range(n):
            block[out, p] = normal_cdf(block[out, p])


@step
def _draw_once(
    number, whole, tables, at, world, row, block, cells, n, stream, driver, field, member, given, source, k0,
    k1, out,
):  # fmt: skip
    """Draw a random field that has one value a path: a line's effectiveness or a launch's slip."""
    if member >= 0:
        copy(block, out, row.linked + member, n)
    elif given.shape[0] > 0:
        take_given(block, out, given, source, n)
    elif whole[at.kind + field] != CONSTANT:
        uniforms(block, row.uniform, row.path, n, stream, driver, 0, k0, k1)
        copy(block, out, row.uniform, n)
    draw_field(number, whole, tables, at, world, field, block, out, cells, n)


@step
def draw_lines(number, whole, tables, at, world, row, block, cells, n, stream, given, k0, k1):
    """Draw the effectiveness of every line and the slip of every launch."""
    source = SLOTS_PER_RISK * at.risk.risks
    for b in range(at.line.lines):
        driver, field = whole[at.line.driver + b], whole[at.line.effectiveness + b]
        member = whole[at.copula.of_line + b]
        _draw_once(
            number, whole, tables, at.draw, world, row, block, cells, n, stream, driver, field, member, given,
            source, k0, k1, row.line_effect + b,
        )  # fmt: skip
        source += 1
    for j in range(at.stream.launches):
        driver, field = whole[at.stream.launch_driver + j], whole[at.stream.launch_slip + j]
        _draw_once(
            number, whole, tables, at.draw, world, row, block, cells, n, stream, driver, field,
            whole[at.copula.of_launch + j], given, source, k0, k1, row.slip + j,
        )  # fmt: skip
        source += 1


@step
def _slot_row(row, o, slot):
    """Row that holds the uniform of one slot of an occurrence."""
    if slot == 0:
        return row.work
    if slot == 1:
        return row.start + o
    if slot == 2:
        return row.severity + o
    return row.duration + o if slot == 3 else row.effectiveness + o


@step
def _occurrence_uniforms(whole, risk, copula, row, block, n, stream, r, k, answers, given, k0, k1):
    """Uniforms of one occurrence: its own, or those given from outside, or those linked to other drivers."""
    o = whole[risk.first + r] + k
    driver = whole[risk.driver + r]
    if k == 0 and given.shape[0] > 0:
        for slot in range(SLOTS_PER_RISK):
            take_given(block, _slot_row(row, o, slot), given, SLOTS_PER_RISK * r + slot, n)
    else:
        uniforms(block, row.uniform, row.path, n, stream, driver, 2 * k, k0, k1)
        for slot in range(4):
            copy(block, _slot_row(row, o, slot), row.uniform + slot, n)
        if answers:
            uniforms(block, row.uniform, row.path, n, stream, driver, 2 * k + 1, k0, k1)
            copy(block, row.effectiveness + o, row.uniform, n)
    for slot in range(SLOTS_PER_RISK):
        member = whole[copula.of_risk + r * SLOTS_PER_RISK + slot]
        if member >= 0:
            copy(block, _slot_row(row, o, slot), row.linked + member, n)


@step
def _draw_occurrence(number, whole, tables, at, world, row, block, cells, mark, span, n, stream, r, k, given, k0, k1):
    """Draw one occurrence of one risk: start, severity, duration, effectiveness, end, start of the response."""
    risk = at.risk
    o = whole[risk.first + r] + k
    answers = whole[risk.effectiveness + r] >= 0
    _occurrence_uniforms(whole, risk, at.copula, row, block, n, stream, r, k, answers, given, k0, k1)
    begin, end = number[risk.begin + r], number[risk.end + r]
    if whole[risk.by_rate + r]:
        start_by_rate(block, row.start + o, row.previous + r, number[risk.rate + r], end, n)
    else:
        hazard = whole[risk.hazard + r] == 1
        start_by_probability(block, row.work, row.start + o, number[risk.probability + r], begin, end, hazard, n)
    if mark[at.mark.chosen] and r < SWITCHABLE:
        switch_off(block, row.start + o, row.acting, r, n)
    draw_field(number, whole, tables, at.draw, world, whole[risk.severity + r], block, row.severity + o, cells, n)
    if whole[risk.duration + r] >= 0:
        draw_field(number, whole, tables, at.draw, world, whole[risk.duration + r], block, row.duration + o, cells, n)
    if answers:
        field = whole[risk.effectiveness + r]
        draw_field(number, whole, tables, at.draw, world, field, block, row.effectiveness + o, cells, n)
    months = float(at.control.months)
    rest, decay, buffered = whole[risk.rest + r] == 1, whole[risk.decay + r] == 1, number[risk.buffer_share + r] > 0.0
    settle(block, row, o, months, rest, decay, number[risk.trigger + r], number[risk.lag + r], n)
    note_span(block, row, o, months, decay, buffered, span, n)
    if answers and largest(block, row.effectiveness + o, n) > 1.0:
        mark[at.mark.signed + r] = 1


@step
def draw_paths(number, whole, tables, at, world, row, block, cells, mark, span, n, stream, given, k0, k1):
    """Draw all that is drawn once a path."""
    risk = at.risk
    for r in range(risk.risks):
        fill(block, row.previous + r, number[risk.begin + r], n)
        mark[at.mark.signed + r] = whole[risk.signed + r]
    for k in range(max(risk.most, 1)):
        if k < at.copula.occurrences:
            link(number, whole, at.copula, row, block, n, stream, k, k0, k1, given)
        if k == 0:
            draw_lines(number, whole, tables, at, world, row, block, cells, n, stream, given, k0, k1)
        for r in range(risk.risks):
            o = whole[risk.first + r] + k
            if o >= whole[risk.first + r + 1]:
                continue
            if k > 0 and span[0, o - 1] >= NEVER:
                # starts come in order: where no lane has this one, no lane has the next
                span[0, o] = NEVER
            else:
                _draw_occurrence(
                    number, whole, tables, at, world, row, block, cells, mark, span, n, stream, r, k, given,
                    k0, k1,
                )  # fmt: skip


@step
def _given_months(block, row, given, source, month, months, n):
    if given.shape[0] > 0:
        for slot in range(min(4, months - month)):
            take_given(block, row + slot, given, source + month + slot, n)


@step
def _four_noises(block, row, noise, out, n):
    for slot in range(4):
        narrow_normals(block, row + slot, noise, out + slot, n)


@step
def draw_months(number, whole, at, row, block, noise, n, stream, month, given, k0, k1):
    """Draw four months of demand shocks and noises; nothing where the volatility is 0."""
    index, months = month // 4, at.control.months
    source = SLOTS_PER_RISK * at.risk.risks + at.line.lines + at.stream.launches
    if number[at.demand.volatility] > 0.0:
        uniforms(block, row.shock, row.path, n, stream, whole[at.demand.drivers], index, k0, k1)
        _given_months(block, row.shock, given, source, month, months, n)
        for slot in range(4):
            normal_row(block, row.shock + slot, n)
    if number[at.demand.correlation] > 0.0:
        uniforms(block, row.uniform, row.path, n, stream, whole[at.demand.drivers + 1], index, k0, k1)
        _given_months(block, row.uniform, given, source + months, month, months, n)
        _four_noises(block, row.uniform, noise, COMMON, n)
    for i in range(at.stream.streams):
        if number[at.stream.volatility + i] > 0.0:
            uniforms(block, row.uniform, row.path, n, stream, whole[at.stream.noise_driver + i], index, k0, k1)
            _four_noises(block, row.uniform, noise, OWN + 4 * i, n)
    for j in range(at.stream.clients):
        for kind in range(2):
            driver = whole[at.stream.client_drivers + 2 * j + kind]
            uniforms(block, row.client_uniform + 8 * j + 4 * kind, row.path, n, stream, driver, index, k0, k1)
