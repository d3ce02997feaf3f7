"""Philox4x32-10: a random number is a function of a key and a counter (Salmon et al., SC 2011).

The key is the seed; the counter is (path, world stream, driver, index). The four output words are the slots 0 to 3,
and a word k becomes the uniform u = (k + 1/2) / 2**32, which is never 0 or 1. Arithmetic stays in uint64 under a
32-bit mask, so the same functions run with the JIT off.
"""

import numpy as np

from engine.kernels.jit import compiled, lane

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)
WEYL_1 = np.uint64(0xBB67AE85)
TWO_52 = 2.0**52
TWO_52_BITS = np.uint64(0x4330000000000000)
WORLD_STREAM = 0xFFFFFFFF  # the stream of the draws made once a world


@lane
def _round(c0, c1, c2, c3, k0, k1):
    p0 = MULTIPLIER_0 * c0
    p1 = MULTIPLIER_1 * c2
    return (p1 >> SHIFT) ^ c1 ^ k0, p1 & MASK, (p0 >> SHIFT) ^ c3 ^ k1, p0 & MASK


@lane
def words(c0, c1, c2, c3, k0, k1):
    """Return the four 32-bit output words of one counter block, each in a uint64.

    The ten rounds are written out: LLVM does not turn a loop of lanes into vector code while it holds another loop.
    """
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return _round(c0, c1, c2, c3, k0, k1)


@lane
def uniform(word):
    """u = (k + 1/2) / 2**32 of a 32-bit word, exactly.

    The word goes into the low bits of the double 2**52: unlike a conversion from uint64 this is vector code everywhere.
    """
    return (np.uint64(word | TWO_52_BITS).view(np.float64) - (TWO_52 - 0.5)) * 2.0**-32


@lane
def whole_bits(x):
    """Bits of a whole number below 2**32 that a float64 holds; by the way of `uniform`, backwards."""
    return np.float64(x + TWO_52).view(np.uint64) & MASK


@compiled
def uniforms(block, a, b, c, d, path, n, stream, driver, index, k0, k1):
    """Fill the rows a..d with the uniforms of slots 0..3 for the paths whose numbers stand in the row `path`."""
    c1, c2, c3 = np.uint64(stream), np.uint64(driver), np.uint64(index)
    for p in range(n):
        w0, w1, w2, w3 = words(whole_bits(block[path, p]), c1, c2, c3, k0, k1)
        block[a, p] = uniform(w0)
        block[b, p] = uniform(w1)
        block[c, p] = uniform(w2)
        block[d, p] = uniform(w3)
