"""Sums over profiles: streams that no risk tells apart.

The streams of one exposure entry form a class, which is made of profiles.
"""

from engine.kernels.jit import step
from engine.kernels.rows import add, copy, sum_listed


@step
def group_row(whole, at, u, source, sums):
    """Row that holds the sum over a group's profiles: the profile's own row where there is one."""
    first = whole[at.group_ptr + u]
    return source + whole[at.group_profile + first] if whole[at.group_ptr + u + 1] - first == 1 else sums + u


@step
def sum_group(whole, at, row, block, u, source, sums, n):
    """Sum the rows of profiles over a group, if it has more than one."""
    first, last = at.group_profile + whole[at.group_ptr + u], at.group_profile + whole[at.group_ptr + u + 1]
    if last - first > 1:
        sum_listed(whole, first, last, source, row.zero, block, sums + u, n)


@step
def sum_groups(whole, at, row, block, source, sums, n):
    """Sum the rows of profiles over every group."""
    for u in range(at.groups):
        sum_group(whole, at, row, block, u, source, sums, n)


@step
def sum_bases(whole, at, row, block, n):
    """Y0 of every profile."""
    for g in range(at.profiles):
        first, last = whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]
        copy(block, row.base + g, row.y0 + whole[at.profile_stream + first], n)
        for entry in range(first + 1, last):
            add(block, row.base + g, row.y0 + whole[at.profile_stream + entry], n)
