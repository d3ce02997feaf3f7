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
