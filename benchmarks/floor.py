"""The draw floor: the random draws of the kernel, made and summed, with no model around them."""

from __future__ import annotations

import numpy as np

from engine.kernels import customers, paths
from engine.kernels.demand import COMMON
from engine.kernels.horizon import LANES, scratch
from engine.kernels.jit import compiled, packed, share_out, step
from engine.kernels.rows import add, fill
from engine.scenario.worlds import key


@step
def _sum_rows(block, first, count, out, n):
    for j in range(count):
        add(block, out, first + j, n)


@step
def _customer_draws(number, at, block, month, out, n):
    """Losses and wins of the customers that there are at the start."""
    row, extra = at.row, at.row.work + 5
    fill(block, extra, 0.0, n)
    for j in range(at.stream.clients):
        padded = 4 * at.control.fours
        count, uniform = row.before + j, row.client_uniform + 2 * padded * j + month
        fill(block, count, number[at.stream.client_count + j], n)
        customers.lose(block, count, row.lost + j, uniform, number[at.stream.client_stay + j], extra, row.work, n)
        wins = number[at.stream.client_wins + j * at.control.months + month]
        if wins > 0.0:
            customers.win(block, count, uniform + padded, wins, row.zero, row.work, n)
        add(block, out, row.lost + j, n)
        add(block, out, count, n)


@compiled
def draw_blocks(
    first, last, number, whole, tables, stream, at, block, noise, cells, mark, span, n_paths, k0, k1, total
):  # fmt: skip
    """Make the draws of the blocks first..last-1 of one world and sum them by path into `total`."""
    given = np.empty((0, 0))
    mark[at.mark.chosen], mark[at.mark.shared] = 0, 0
    row, out = at.row, at.row.cumulative
    for job in range(first, last):
        path = job * LANES
        n = min(LANES, n_paths - path)
        fill(block, row.zero, 0.0, n)
        fill(block, out, 0.0, n)
        for p in range(n):
            block[row.path, p] = path + p
        paths.draw_paths(number, whole, tables, at, 0, row, block, cells, mark, span, n, stream, given, k0, k1)
        for o in range(at.risk.occurrences):
            if span[0, o] < at.control.months:
                for drawn in (row.start, row.severity, row.duration, row.effectiveness):
                    add(block, out, drawn + o, n)
        _sum_rows(block, row.line_effect, at.line.lines, out, n)
        _sum_rows(block, row.slip, at.stream.launches, out, n)
        for month in range(at.control.months):
            if month % 4 == 0:
                paths.draw_months(number, whole, at, row, block, noise, mark, n, stream, month, given, k0, k1)
                _sum_rows(block, row.shock + month, 4, out, n)
                for source in range(1 + at.stream.streams):
                    for slot in range(4):
                        drawn = COMMON + 4 * at.control.fours * source + month + slot
                        for p in range(n):
                            block[out, p] += np.float64(noise[drawn, p])
            _customer_draws(number, at, block, month, out, n)
        for p in range(n):
            total[path + p] = block[out, p]


def draw(plan, n_paths: int, seed: int = 1) -> np.ndarray:
    """Sum of the draws of every path of a plan's first world, shape (n_paths,)."""
    total, at = np.empty(n_paths), packed(plan.layout)
    arrays = (plan.numbers[0], plan.whole, plan.tables, plan.streams[0], at)

    def part(first: int, last: int) -> None:
        draw_blocks(first, last, *arrays, *scratch(plan.layout), n_paths, *key(seed), total)

    share_out(part, (n_paths + LANES - 1) // LANES)
    return total
