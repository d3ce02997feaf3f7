"""Small loops over the lanes of a block: the vocabulary that the steps of the month are written in.

A block is one float64 array; a row is named by its index. Rows are indexed in place, never cut out: a view of an
array is counted up and down, which costs as much as the loop.
"""

from engine.kernels.jit import step


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


@step
def smallest(block, row, n):
    """Least entry of a row."""
    value = block[row, 0]
    for p in range(1, n):
        value = block[row, p] if block[row, p] < value else value
    return value


@step
def largest(block, row, n):
    """Greatest entry of a row."""
    value = block[row, 0]
    for p in range(1, n):
        value = block[row, p] if block[row, p] > value else value
    return value


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
def sum_listed(whole, first, last, source, zero, block, out, n):
    """out = sum of the rows `source` + whole[first..last-1], four at a time; `zero` stands in for missing ones."""
    if first == last:
        fill(block, out, 0.0, n)
    for entry in range(first, last, 4):
        a = source + whole[entry]
        b = source + whole[entry + 1] if entry + 1 < last else zero
        c = source + whole[entry + 2] if entry + 2 < last else zero
        d = source + whole[entry + 3] if entry + 3 < last else zero
        sum_four(block, out, a, b, c, d, entry == first, n)
