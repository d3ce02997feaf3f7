"""Sums over profiles: streams that no risk tells apart.

The streams of one exposure entry form a class, which is made of profiles. A class of one profile is found where the
profile is, a class of more behind the profiles, among the groups.
"""

from engine.kernels.jit import step
from engine.kernels.rows import add, copy, sum_listed


@step
def sum_groups(whole, at, zero, block, source, n):
    """Sum the rows of profiles over every group, from the sums of smaller groups where they fit in."""
    for u in range(at.groups):
        first, last = at.part + whole[at.part_ptr + u], at.part + whole[at.part_ptr + u + 1]
        sum_listed(whole, first, last, source, zero, block, source + at.profiles + u, n)


@step
def sum_class(whole, at, zero, block, source, c, n):
    """Sum the rows of profiles over one class alone."""
    u = whole[at.class_place + c] - at.profiles
    if u >= 0:
        first, last = at.group_profile + whole[at.group_ptr + u], at.group_profile + whole[at.group_ptr + u + 1]
        sum_listed(whole, first, last, source, zero, block, source + at.profiles + u, n)


@step
def sum_bases(whole, at, place, row, block, n):
    """Y0 of every profile of more than one stream, and of every group; the Y0 of a stream alone is its profile's."""
    for g in range(at.profiles):
        first, last = whole[at.profile_stream_ptr + g], whole[at.profile_stream_ptr + g + 1]
        if last - first == 1:
            continue
        copy(block, row.base + g, row.base + whole[place + whole[at.profile_stream + first]], n)
        for entry in range(first + 1, last):
            add(block, row.base + g, row.base + whole[place + whole[at.profile_stream + entry]], n)
    sum_groups(whole, at, row.zero, block, row.base, n)
