"""What is drawn for a block of paths: occurrences, effectiveness, slips, and the months' shocks and noises."""

from engine.kernels.demand import COMMON
from engine.kernels.jit import step
from engine.kernels.layout import SLOTS_PER_RISK, SWITCHABLE
from engine.kernels.needs import asks_on
from engine.kernels.philox import uniforms
from engine.kernels.risks import NEVER, draw_field, note_span, settle, start_by_probability, start_by_rate, switch_off
from engine.kernels.rows import add_scaled, copy, fill, largest, take_given
from engine.kernels.variates import CONSTANT, narrow_normals, normal_cdf, normal_row


@step
def draw_four(row, block, mark, marks, draw, kept, a, b, c, d, n, stream, driver, index, k0, k1):
    """Uniforms of the four slots of a draw into four rows.

    Where the next block may be of the same paths they are made once, into the rows from `kept` on, and copied.
    """
    if mark[marks.shared] == 0:
        uniforms(block, a, b, c, d, row.path, n, stream, driver, index, k0, k1)
        return
    if mark[marks.drawn + draw] == 0:
        uniforms(block, kept, kept + 1, kept + 2, kept + 3, row.path, n, stream, driver, index, k0, k1)
        mark[marks.drawn + draw] = 1
    copy(block, a, kept, n)
    copy(block, b, kept + 1, n)
    copy(block, c, kept + 2, n)
    copy(block, d, kept + 3, n)


@step
def draw_one(row, block, mark, marks, draw, kept, a, n, stream, driver, index, k0, k1):
    """As `draw_four`, of which the first slot alone is needed."""
    b, c, d = row.uniform + 1, row.uniform + 2, row.uniform + 3
    if mark[marks.shared] == 0:
        uniforms(block, a, b, c, d, row.path, n, stream, driver, index, k0, k1)
        return
    if mark[marks.drawn + draw] == 0:
        uniforms(block, kept, b, c, d, row.path, n, stream, driver, index, k0, k1)
        mark[marks.drawn + draw] = 1
    copy(block, a, kept, n)


@step
def _is_made(mark, marks, draw):
    """Whether a draw that stays in its own rows has been made for these paths; from now on it has."""
    made = mark[marks.drawn + draw] == 1
    mark[marks.drawn + draw] = mark[marks.shared]
    return made


@step
def link(number, whole, at, row, block, mark, marks, draws, n, stream, k, k0, k1, given):
    """Uniforms of the correlated drivers for the occurrence k: u' = Phi(L z), z from the drivers' own addresses."""
    for j in range(at.members):
        z = row.linked_normal + j
        if at.occurrences == 1 and _is_made(mark, marks, draws + j):
            continue
        if k == 0 and given.shape[0] > 0:
            take_given(block, z, given, whole[at.given_row + j], n)
        else:
            slot, rows = whole[at.slot + j], row.uniform
            index = 2 * k + slot // 4
            uniforms(
                block, rows, rows + 1, rows + 2, rows + 3, row.path, n, stream, whole[at.driver + j], index, k0, k1
            )  # fmt: skip
            copy(block, z, rows + slot % 4, n)
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
    number, whole, tables, at, world, row, block, cells, mark, marks, draw, kept, n, stream, driver, field, member,
    given, source, k0, k1, out,
):  # fmt: skip
    """Draw a random field that has one value a path: a line's effectiveness or a launch's slip."""
    if member >= 0:
        copy(block, out, row.linked + member, n)
    elif given.shape[0] > 0:
        take_given(block, out, given, source, n)
    elif whole[at.kind + field] != CONSTANT:
        draw_one(row, block, mark, marks, draw, kept, out, n, stream, driver, 0, k0, k1)
    draw_field(number, whole, tables, at, world, field, block, out, cells, n)


@step
def draw_lines(number, whole, tables, at, world, row, block, cells, mark, n, stream, given, k0, k1):
    """Draw the effectiveness of every line and the slip of every launch."""
    source, draw, kept = SLOTS_PER_RISK * at.risk.risks, 2 * at.risk.occurrences, row.made + 5 * at.risk.occurrences
    for b in range(at.line.lines):
        driver, field = whole[at.line.driver + b], whole[at.line.effectiveness + b]
        _draw_once(
            number, whole, tables, at.draw, world, row, block, cells, mark, at.mark, draw + b, kept + b, n, stream,
            driver, field, whole[at.copula.of_line + b], given, source + b, k0, k1, row.line_effect + b,
        )  # fmt: skip
    for j in range(at.stream.launches):
        driver, field, place = whole[at.stream.launch_driver + j], whole[at.stream.launch_slip + j], at.line.lines + j
        _draw_once(
            number, whole, tables, at.draw, world, row, block, cells, mark, at.mark, draw + place, kept + place, n,
            stream, driver, field, whole[at.copula.of_launch + j], given, source + place, k0, k1, row.slip + j,
        )  # fmt: skip


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
def _occurrence_uniforms(whole, risk, copula, row, block, mark, marks, n, stream, r, k, answers, given, k0, k1):
    """Uniforms of one occurrence: its own, or those given from outside, or those linked to other drivers."""
    o = whole[risk.first + r] + k
    driver, kept = whole[risk.driver + r], row.made + 5 * o
    if k == 0 and given.shape[0] > 0:
        for slot in range(SLOTS_PER_RISK):
            take_given(block, _slot_row(row, o, slot), given, SLOTS_PER_RISK * r + slot, n)
    else:
        draw_four(
            row, block, mark, marks, 2 * o, kept, _slot_row(row, o, 0), _slot_row(row, o, 1), _slot_row(row, o, 2),
            _slot_row(row, o, 3), n, stream, driver, 2 * k, k0, k1,
        )  # fmt: skip
        if answers:
            last = _slot_row(row, o, 4)
            draw_one(row, block, mark, marks, 2 * o + 1, kept + 4, last, n, stream, driver, 2 * k + 1, k0, k1)
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
    _occurrence_uniforms(
        whole, risk, at.copula, row, block, mark, at.mark, n, stream, r, k, answers, given, k0, k1
    )  # fmt: skip
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
        if asks_on(number, whole, risk, r):
            fill(block, row.lasting + r, 0.0, n)
        mark[at.mark.signed + r] = whole[risk.signed + r]
    for k in range(max(risk.most, 1)):
        if k < at.copula.occurrences:
            linked = 2 * risk.occurrences + at.line.lines + at.stream.launches
            link(number, whole, at.copula, row, block, mark, at.mark, linked, n, stream, k, k0, k1, given)
        if k == 0:
            draw_lines(number, whole, tables, at, world, row, block, cells, mark, n, stream, given, k0, k1)
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
def draw_months(number, whole, at, row, block, noise, mark, n, stream, month, given, k0, k1):
    """Draw four months of demand shocks and noises; nothing where the volatility is 0."""
    index, months, fours, rows = month // 4, at.control.months, at.control.fours, row.uniform
    source = SLOTS_PER_RISK * at.risk.risks + at.line.lines + at.stream.launches
    draw = 2 * at.risk.occurrences + at.line.lines + at.stream.launches + at.copula.members + index
    if number[at.demand.volatility] > 0.0 and not _is_made(mark, at.mark, draw):
        shock = row.shock + month
        uniforms(
            block, shock, shock + 1, shock + 2, shock + 3, row.path, n, stream, whole[at.demand.drivers], index, k0, k1
        )  # fmt: skip
        _given_months(block, shock, given, source, month, months, n)
        for slot in range(4):
            normal_row(block, shock + slot, n)
    draw += fours
    if number[at.demand.correlation] > 0.0 and not _is_made(mark, at.mark, draw):
        driver = whole[at.demand.drivers + 1]
        uniforms(block, rows, rows + 1, rows + 2, rows + 3, row.path, n, stream, driver, index, k0, k1)
        _given_months(block, rows, given, source + months, month, months, n)
        _four_noises(block, rows, noise, COMMON + month, n)
    for i in range(at.stream.streams):
        draw += fours
        if number[at.stream.volatility + i] > 0.0 and not _is_made(mark, at.mark, draw):
            driver = whole[at.stream.noise_driver + i]
            uniforms(block, rows, rows + 1, rows + 2, rows + 3, row.path, n, stream, driver, index, k0, k1)
            _four_noises(block, rows, noise, COMMON + 4 * fours * (1 + i) + month, n)
    for j in range(2 * at.stream.clients):
        draw += fours
        if not _is_made(mark, at.mark, draw):
            driver, out = whole[at.stream.client_drivers + j], row.client_uniform + 4 * fours * j + month
            uniforms(block, out, out + 1, out + 2, out + 3, row.path, n, stream, driver, index, k0, k1)
