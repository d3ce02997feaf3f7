"""Small loops over the lanes of a block: the vocabulary that the steps of the month are written in.

A block is one float64 array; a row is named by its index. A loop loads what it may need before it chooses: a load
that only one side of a choice makes keeps a loop from becoming vector code.
"""

import numpy as np

from engine.kernels.jit import lane, step

_ALL_BUT_SIGN = np.int64(0x7FFFFFFFFFFFFFFF)


@step
def fill(block, row, value, n):
    """row = value"""
    for p in range(n):
        block[row, p] = value


@step
def copy(block, row, source, n):
    """row = source"""
    for p in range(n):
        block[row, p] = block[source, p]


@step
def add(block, row, source, n):
    """row += source"""
    for p in range(n):
        block[row, p] += block[source, p]


@step
def add_scaled(block, row, factor, source, n):
    """row += factor * source"""
    for p in range(n):
        block[row, p] += factor * block[source, p]


@step
def scaled(block, row, factor, source, n):
    """row = factor * source"""
    for p in range(n):
        block[row, p] = factor * block[source, p]


@step
def add_product(block, row, a, b, n):
    """row += a * b"""
    for p in range(n):
        block[row, p] += block[a, p] * block[b, p]


@step
def take_given(block, row, given, source, n):
    """row = a row of uniforms given from outside"""
    for p in range(n):
        block[row, p] = given[source, p]


@lane
def _ordered(bits):
    """Bits of a float64 as a whole number of the same order, and back: whole numbers have vector code for the least."""
    return bits ^ ((bits >> np.int64(63)) & _ALL_BUT_SIGN)


@step
def smallest(block, row, n):
    """Least entry of a row."""
    least = _ordered(np.float64(block[row, 0]).view(np.int64))
    for p in range(n):
        value = _ordered(np.float64(block[row, p]).view(np.int64))
        least = value if value < least else least
    return np.int64(_ordered(least)).view(np.float64)


@step
def largest(block, row, n):
    """Greatest entry of a row."""
    most = _ordered(np.float64(block[row, 0]).view(np.int64))
    for p in range(n):
        value = _ordered(np.float64(block[row, p]).view(np.int64))
        most = value if value > most else most
    return np.int64(_ordered(most)).view(np.float64)


@step
def sum_eight(block, out, a, b, c, d, e, f, g, h, n):
    """out = a + b + ... + h"""
    for p in range(n):
        four = ((block[a, p] + block[b, p]) + block[c, p]) + block[d, p]
        block[out, p] = (((four + block[e, p]) + block[f, p]) + block[g, p]) + block[h, p]


@step
def add_four(block, out, a, b, c, d, n):
    """out += a + b + c + d, one after the other"""
    for p in range(n):
        block[out, p] = (((block[out, p] + block[a, p]) + block[b, p]) + block[c, p]) + block[d, p]


@step
def sum_four(block, out, a, b, c, d, n):
    """out = a + b + c + d"""
    for p in range(n):
        block[out, p] = ((block[a, p] + block[b, p]) + block[c, p]) + block[d, p]


@step
def sum_two(block, out, a, b, n):
    """out = a + b"""
    for p in range(n):
        block[out, p] = block[a, p] + block[b, p]


@step
def listed(whole, entry, last, source, zero):
    """Row of an entry of a list of rows; the row `zero` beyond its end."""
    return source + whole[entry] if entry < last else zero


@step
def sum_listed(whole, first, last, source, zero, block, out, n):
    """out = sum of the rows `source` + whole[first..last-1], one after the other, many in a loop."""
    if last - first <= 2:
        a, b = listed(whole, first, last, source, zero), listed(whole, first + 1, last, source, zero)
        sum_two(block, out, a, b, n)
        return
    if last - first <= 4:
        c, d = source + whole[first + 2], listed(whole, first + 3, last, source, zero)
        sum_four(block, out, source + whole[first], source + whole[first + 1], c, d, n)
        return
    sum_eight(
        block, out, source + whole[first], source + whole[first + 1], source + whole[first + 2],
        source + whole[first + 3], source + whole[first + 4],
        listed(whole, first + 5, last, source, zero), listed(whole, first + 6, last, source, zero),
        listed(whole, first + 7, last, source, zero), n,
    )  # fmt: skip
    for entry in range(first + 8, last, 4):
        add_four(
            block, out, source + whole[entry], listed(whole, entry + 1, last, source, zero),
            listed(whole, entry + 2, last, source, zero), listed(whole, entry + 3, last, source, zero), n,
        )  # fmt: skip
