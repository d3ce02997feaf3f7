"""The path loop: worlds x blocks of paths, months in order; fills the outputs.

A block holds LANES paths of one world, and every quantity of the month is a row of LANES numbers, so that the inner
loops become vector instructions and their rows stay near the core. A block writes only its own columns; sums over
paths come later in fixed order, so threads and chunks cannot change a digit.
"""

import numpy as np

from engine.kernels import customers, demand, hits, losses, review, risks, spend, targets
from engine.kernels.jit import aligned, compiled, kept_by_thread, packed, share_out, step
from engine.kernels.layout import LOOK_MARGIN, LOOK_REVENUE
from engine.kernels.paths import draw_months, draw_paths
from engine.kernels.rows import add, add_product, add_scaled, copy, fill

LANES = 192


@step
def _reset(number, at, block, mark, n):
    """Bring the block to the start of the horizon; what each month or the end sets is left as it is."""
    value, flags = at.value, at.value.size
    for j in range(value.monthly_revenue):
        fill(block, j, 0.0, n)
    for j in range(value.loss, flags + at.flag.target_met):
        fill(block, j, 0.0, n)
    for j in range(flags + at.flag.struck, flags + at.flag.size):
        fill(block, j, 0.0, n)
    for f in range(at.control.funds):
        fill(block, at.value.fund_balance + f, number[at.control.fund_amount + f], n)
        fill(block, at.row.cover + f + 1, 1.0, n)
    fill(block, at.row.cover, 1.0, n)
    fill(block, at.row.zero, 0.0, n)
    fill(block, at.row.one, 1.0, n)
    for j in range(at.mark.shared):
        mark[j] = 0
    for b in range(at.line.lines):
        fill(block, at.row.extra + b, 0.0, n)
    for b in range(at.line.lines + 1):
        fill(block, at.row.decided + b, 0.0, n)
    for v in range(at.control.levels):
        fill(block, at.row.spoken + v, -1.0, n)
    for j in range(at.stream.clients):
        fill(block, at.value.customers + j, number[at.stream.client_count + j], n)
    for j in range(3 * at.target.sets):
        fill(block, at.row.set_before + j, 0.0, n)
    fill(block, at.row.cumulative, 0.0, n)
    fill(block, at.row.state, 0.0, n)


@step
def _tier(number, at, j, plan):
    """Rate of a tier, and the revenue of a month from which it is paid: any where the month has no plan."""
    return number[at.tier_rate + j], (number[at.tier_from + j] - 1e-9) * plan if plan > 0.0 else -1.0


@step
def _raise_rate(block, rate, revenue, reach, paid, farther, higher, n):
    """Rate of the higher one of two tiers that the revenue reaches."""
    for p in range(n):
        sold, before = block[revenue, p], block[rate, p]
        lower = paid if sold >= reach else before
        block[rate, p] = higher if sold >= farther else lower


@step
def _pay_incentives(number, at, row, value, base, block, month, n):
    """Revenue in the row `base` times the rate of the highest tier that the company's month reaches."""
    if at.tiers == 0:
        return
    rate, plan = row.work, number[at.plan + month]
    fill(block, rate, 0.0, n)
    for j in range(0, at.tiers, 2):
        paid, reach = _tier(number, at, j, plan)
        higher, farther = _tier(number, at, min(j + 1, at.tiers - 1), plan)
        _raise_rate(block, rate, row.set_revenue, reach, paid, farther, higher, n)
    add_product(block, value.incentive_cost, base, rate, n)


@step
def _account(number, whole, at, block, month, n):
    """Book the month: totals of the year, incentives, targets."""
    row, value, target, months = at.row, at.value, at.target, at.control.months
    targets.sum_sets(whole, target, LOOK_REVENUE, row.zero, block, row.y, row.set_revenue, n)
    targets.sum_sets(whole, target, LOOK_MARGIN, row.zero, block, row.margin, row.set_margin, n)
    month_revenue = row.set_revenue  # the first set holds all streams
    if value.streams_kept:
        for i in range(at.stream.streams):
            copy(block, value.stream_months + month * at.stream.streams + i, row.y + i, n)
    add(block, value.gross_margin, row.set_margin, n)
    copy(block, value.monthly_revenue + month, month_revenue, n)
    add(block, row.cumulative, month_revenue, n)
    _pay_incentives(number, at.control, row, value, row.set_revenue + target.paid, block, month, n)
    if at.stream.clients > 0:
        targets.sum_clients(whole, target, at.stream.client, block, row.before, row.set_before, n)
        targets.sum_clients(whole, target, at.stream.client, block, row.lost, row.set_lost, n)
        targets.sum_clients(whole, target, at.stream.client, block, value.customers, row.set_after, n)
    targets.follow(whole, target, row, block, months, month, n)


@step
def _review(number, whole, at, block, mark, month, planned, n):
    """Lag and status at the end of the month, and the money that the review decides for the next one."""
    control, value = at.control, at.value
    status, lag = value.size + at.flag.status + month, value.lag + month
    review.lag_row(block, lag, at.row.cumulative, planned, n)
    if control.levels == 0:
        return
    lowest, highest = number[control.level_lag], number[control.level_lag + control.levels - 1]
    review.status_row(block, status, lag, lowest, highest, n)
    if month + 1 < control.months:
        exhausted, acted = value.size + at.flag.fund_exhausted, value.size + at.flag.acted
        review.act(
            number, whole, control, at.row, block, mark, at.mark.line_live, lag, value, exhausted, acted, month, n
        )  # fmt: skip


@step
def _keep_drivers(whole, at, block, n):
    """Copy what was drawn for the path: first occurrences, effectiveness of the lines, slips."""
    row, value = at.row, at.value
    for r in range(at.risk.risks):
        first = whole[at.risk.first + r]
        copy(block, value.drawn_start + r, row.start + first, n)
        copy(block, value.drawn_severity + r, row.severity + first, n)
        copy(block, value.drawn_duration + r, row.duration + first, n)
    for b in range(at.line.lines):
        copy(block, value.drawn_effect + b, row.line_effect + b, n)
    for j in range(at.stream.launches):
        copy(block, value.drawn_slip + j, row.slip + j, n)


@step
def _settle(block, incentives, margin, fixed, budget, contribution, overrun, n):
    """What is left of the gross margin after lines and incentives, and the incentives beyond their budget."""
    for p in range(n):
        cost = block[incentives, p]
        block[contribution, p] = block[margin, p] - cost - fixed
        block[overrun, p] = cost - budget if cost > budget else 0.0


@step
def _close(number, whole, at, block, mark, n):
    """Settle the year: backlog, contribution, targets."""
    value, row = at.value, at.row
    copy(block, value.revenue, row.cumulative, n)
    for j in range(at.risk.backlogs):
        if mark[at.mark.backlog_live + whole[at.risk.backlog_risk + j]]:
            add(block, value.deferred_out, row.backlog + j, n)
    fixed, budget = number[at.control.line_cost], number[at.control.incentive_budget]
    overrun = row.work
    _settle(block, value.incentive_cost, value.gross_margin, fixed, budget, value.contribution, overrun, n)
    for b in range(at.line.lines + 1):
        add_scaled(block, value.contribution, -1.0, value.corrective + b, n)
    for r in range(at.risk.risks):
        add_scaled(block, value.contribution, -1.0, value.response_cost + r, n)
    met = value.size + at.flag.target_met
    targets.finish(number, whole, at.target, row, block, at.control.funds, value.fund_balance, overrun, met, n)
    if value.drivers_kept:
        _keep_drivers(whole, at, block, n)
    if value.targets_kept:
        for q in range(at.target.targets):
            copy(block, value.target_value + q, row.tally + 4 * q, n)


@step
def _simulate_month(number, whole, at, block, noise, mark, span, month, n):
    """One month, in the order of the model's section 3."""
    row, value, months = at.row, at.value, at.control.months
    line_live, marks = at.mark.line_live, at.mark
    spend.correct(number, whole, at.line, row, block, mark, line_live, months, month, n)
    spend.lifts(number, whole, at.line, row, block, mark, line_live, months, month, n)
    if number[at.demand.volatility] > 0.0:
        demand.advance(number, at.demand, block, row.state, row.shock + month, month, n)
    demand.volumes(
        number, whole, at.stream, at.demand, row, value.customers, block, noise, months, at.control.fours, month, n
    )  # fmt: skip
    risks.open_month(number, whole, at.risk, row, block, mark, marks, span, month, n)
    exhausted, struck = value.size + at.flag.fund_exhausted, value.size + at.flag.struck
    hits.respond(
        number, whole, at.risk, at.stream.place, row, at.control.funds, value, exhausted, struck, block, mark, marks,
        span, month, n,
    )  # fmt: skip
    losses.sell(
        number, whole, at.risk, at.stream.margin, at.stream.place, row, value, block, mark, marks, span, month, n
    )  # fmt: skip
    customers.turn_over(
        number, whole, at.stream, at.risk, row, value.customers, block, mark, marks.risk_live, months,
        at.control.fours, month, n,
    )  # fmt: skip
    _account(number, whole, at, block, month, n)


@step
def simulate_block(number, whole, tables, at, world, stream, block, noise, cells, mark, span, n, given, k0, k1):
    """Simulate the n <= LANES paths whose numbers stand in the block; their results are then its first rows."""
    targets.start(whole, at.target, block, at.row.tally, n)
    draw_paths(number, whole, tables, at, world, at.row, block, cells, mark, span, n, stream, given, k0, k1)
    planned = 0.0
    for month in range(at.control.months):
        if month % 4 == 0:
            draw_months(number, whole, at, at.row, block, noise, mark, n, stream, month, given, k0, k1)
        _simulate_month(number, whole, at, block, noise, mark, span, month, n)
        planned += number[at.control.plan + month]
        _review(number, whole, at, block, mark, month, planned, n)
        if at.value.funds_kept:
            for f in range(at.control.funds):
                copy(block, at.value.fund_months + month * at.control.funds + f, at.value.fund_balance + f, n)
    _close(number, whole, at, block, mark, n)


@step
def _store(block, column, n, values, flags):
    for j in range(values.shape[0]):
        row = values[j, column : column + n]  # of an index such as column + p no compiler knows that it is not negative
        for p in range(n):
            row[p] = block[j, p]
    for j in range(flags.shape[0]):
        row_of_flags = flags[j, column : column + n]
        for p in range(n):
            row_of_flags[p] = np.int8(block[values.shape[0] + j, p])


_PATH, _SOURCE, _COLUMN, _COUNT = range(1, 5)  # columns of the table of blocks, after the world


def _blocks(worlds, firsts, counts, sources, columns):
    """Table of blocks: of each run of `counts` paths of a world, as many blocks of at most LANES paths as it takes."""
    blocks = -(-counts // LANES)
    run = np.repeat(np.arange(counts.size), blocks)
    start = (np.arange(run.size) - np.repeat(np.cumsum(blocks) - blocks, blocks)) * LANES
    table = (worlds[run], firsts[run] + start, sources[run] + start, columns[run] + start)
    return np.stack([*table, np.minimum(LANES, counts[run] - start)], axis=1).astype(np.int64)


def simulate_paths(plan, first, last, path, n_paths, column, stride, k0, k1, given, out):
    """Simulate the paths path..path+n_paths-1 of the worlds first..last-1 of `plan` into `out`.

    Parameters
    ----------
    plan : PlanArrays
    first, last : int
        Worlds, counted within the plan.
    path, n_paths : int
        First path and number of paths of each world.
    column, stride : int
        Path `path` of world w goes to the column `column + (w - first) * stride` of the outputs.
    k0, k1 : uint64
        Low and high half of the seed.
    given : ndarray, shape (rows, worlds * n_paths) or (0, 0)
        Uniforms that take the place of the path-level drivers' own.
    out : Outputs
    """
    worlds = np.arange(last - first)
    every = np.full(worlds.size, n_paths)
    blocks = _blocks(first + worlds, np.full(worlds.size, path), every, worlds * n_paths, column + worlds * stride)
    none = np.empty(0, np.int64)
    _share_out(plan, blocks, none, none, k0, k1, given, out)


def simulate_chosen(plan, ends, paths, acting, k0, k1, out):
    """Simulate chosen paths, each with the risks that are to act; path j of the list goes to the column j.

    A path's draws are those that it has in any run: a risk that is switched off does not strike, and that is all.

    Parameters
    ----------
    plan : PlanArrays
    ends : ndarray of int64, shape (worlds,)
        Where the paths of each world end in the list.
    paths : ndarray of int64
        Numbers of paths, world by world; a number may come more than once.
    acting : ndarray of int64
        For each of them a whole number whose bit r says whether risk r acts, of the first SWITCHABLE.
    k0, k1 : uint64
        Low and high half of the seed.
    out : Outputs
    """
    starts = np.concatenate([[0], ends[:-1]])
    blocks = _blocks(np.arange(ends.size), np.zeros(ends.size, np.int64), ends - starts, starts, starts)
    _share_out(plan, blocks, paths, acting, k0, k1, np.empty((0, 0)), out)


def _share_out(plan, blocks, paths, acting, k0, k1, given, out):
    arrays = (plan.numbers, plan.whole, plan.tables, plan.streams, packed(plan.layout))
    shared = paths.size == given.size == 0 and plan.streams.size > 1 and np.ptp(plan.streams) == 0
    edges = np.arange(len(blocks) + 1)
    if shared:  # worlds see the same paths: blocks of the same ones stay together, so that their draws are made once
        blocks = blocks[np.argsort(blocks[:, _PATH], kind="stable")]
        edges = np.flatnonzero(np.diff(blocks[:, _PATH], prepend=-1, append=-1))

    def simulate(first, last):
        jobs = blocks[edges[first] : edges[last]]
        simulate_blocks(
            jobs, *arrays, *scratch(plan.layout), shared, paths, acting, k0, k1, given, out.values, out.flags
        )  # fmt: skip

    share_out(simulate, edges.size - 1)


def scratch(at):
    """Memory of this thread for blocks of a layout: rows, noises, cells of tables, marks, spans of occurrences."""
    sizes = at.row.size, demand.noise_rows(at), at.mark.size, at.risk.occurrences

    def make():
        rows, noises, marks, occurrences = sizes
        noise = aligned((noises, LANES), np.float32)
        noise[:] = 0.0  # what is not drawn must be finite
        return (
            aligned((rows, LANES)),
            noise,
            np.empty(LANES, np.int64),
            np.zeros(marks, np.int64),
            np.empty((2, occurrences)),
        )

    return kept_by_thread(sizes, make)


@step
def _enter(block, at, mark, path, source, n, paths, acting):
    """Put the numbers of the paths in their row, and which risks act on each where that is chosen."""
    number, set_of_risks = at.row.path, at.row.acting
    for p in range(n):
        block[number, p] = path + p
    if paths.size > 0:
        for p in range(n):
            block[number, p] = paths[source + p]
        for p in range(n):
            block[set_of_risks, p] = acting[source + p]
        mark[at.mark.chosen] = 1


@compiled
def simulate_blocks(
    blocks, numbers, whole, tables, streams, at, block, noise, cells, mark, span, shared, paths, acting, k0, k1, given,
    values, flags,
):  # fmt: skip
    """Simulate a table of blocks, one after the other in the same rows.

    A row of the table: the world, its first path, its first place in `paths` and `given`, its first column, the number
    of paths. Without `paths` they follow one another from the first. With `shared` all worlds have the same random
    stream, and blocks of the same paths share their draws.
    """
    for job in range(blocks.shape[0]):
        world, n, source = blocks[job, 0], blocks[job, _COUNT], blocks[job, _SOURCE]
        number = numbers[world if numbers.shape[0] > 1 else 0]
        _reset(number, at, block, mark, n)
        mark[at.mark.shared] = 1 if shared else 0
        if job == 0 or blocks[job, _PATH] != blocks[job - 1, _PATH] or n != blocks[job - 1, _COUNT]:
            for draw in range(at.mark.drawn, at.mark.size):
                mark[draw] = 0
        _enter(block, at, mark, blocks[job, _PATH], source, n, paths, acting)
        simulate_block(
            number, whole, tables, at, world, streams[world], block, noise, cells, mark, span, n,
            given[:, source : source + n], k0, k1,
        )  # fmt: skip
        _store(block, blocks[job, _COLUMN], n, values, flags)
