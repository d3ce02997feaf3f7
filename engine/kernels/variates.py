"""Uniform -> variate by inversion: one uniform a draw, branch-free where lanes are to become vector instructions."""

import numpy as np

from engine.kernels.jit import compiled, lane, share_out

# How a quantile function reaches the kernel (fields of layout.Draws).
CONSTANT, UNIFORM, TRIANGULAR, NORMAL, LOGNORMAL, TABLE, STEPS = range(7)

_LOG2E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10
_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to a whole number and leaves it in the low bits
_MAGIC_BITS = np.int64(0x4338000000000000)
_SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
_ONE_BITS = np.int64(0x3FF0000000000000)
_LOWEST_OCTAVE = 1023 - 33  # table cells start at p = 2**-33, half a step below the smallest uniform
OCTAVES = 32
SMALLEST = 2.0**-33


@lane
def exp(x):
    """e**x for |x| <= 700 (clipped beyond), relative error below 1e-12: vector code, unlike the call into libm.

    Polynomials are summed in pairs (Estrin), here and below: a chain of multiplications would leave the units waiting.
    """
    x = -700.0 if x < -700.0 else x
    x = 700.0 if x > 700.0 else x
    shifted = x * _LOG2E + _MAGIC
    n = shifted - _MAGIC
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (1.0 + r) + r2 * (0.5 + r * 1.6666666666666666e-01)
    middle = (4.1666666666666664e-02 + r * 8.333333333333333e-03) + r2 * (
        1.3888888888888889e-03 + r * 1.984126984126984e-04
    )
    high = (2.48015873015873e-05 + r * 2.7557319223985893e-06) + r2 * 2.755731922398589e-07
    y = low + r4 * (middle + r4 * high)
    power = (np.float64(shifted).view(np.int64) << np.int64(52)) + _ONE_BITS
    return y * np.int64(power).view(np.float64)


@lane
def log(x):
    """Natural logarithm of a positive normal number, relative error below 1e-12."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> np.int64(52)
    m = np.int64(bits - (exponent << np.int64(52))).view(np.float64)
    e = np.int64(exponent + _MAGIC_BITS).view(np.float64) - _MAGIC
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    z2 = z * z
    low = (1.0 + z * (1.0 / 3.0)) + z2 * (0.2 + z * (1.0 / 7.0))
    high = (1.0 / 9.0 + z * (1.0 / 11.0)) + z2 * (1.0 / 13.0 + z * (1.0 / 15.0))
    y = low + z2 * z2 * high
    return e * _LN2_HIGH + (2.0 * s * y + e * _LN2_LOW)


@lane
def normal(u):
    """Standard normal quantile: (2u - 1) times a rational function of w = -log(4u(1 - u)); error in p below 5e-7 p.

    The form keeps the symmetry exactly and needs no branch between centre and tails. Fitted for u in [2**-33, 1 -
    2**-33].
    """
    s = -log(4.0 * u * (1.0 - u)) * (1.0 / 11.0) - 1.0
    s2 = s * s
    s4 = s2 * s2
    top = (4.456022214025505 + s * 14.276706239217562) + s2 * (19.328666332572954 + s * 13.729092274327895)
    top = top + s4 * ((5.147573621103734 + s * 0.8595241413296848) + s2 * 0.025286487151755705)
    bottom = (1.0 + s * 2.6744923113484695) + s2 * (3.049986992278776 + s * 1.7497799135024932)
    bottom = bottom + s4 * (0.49262457880768623 + s * 0.044753643992402274)
    return (2.0 * u - 1.0) * top / bottom


# The noises of streams are made in single precision, twice as many lanes to an instruction: what they multiply stays in
# double precision, and a relative error of 3e-7 in a random factor is far below what any sample can show.
_LOG2E_32 = np.float32(1.4426950408889634)
_LN2_32 = np.float32(0.6931471805599453)
_LN2_HIGH_32 = np.float32(0.693359375)
_LN2_LOW_32 = np.float32(-2.12194440e-4)
_MAGIC_32 = np.float32(12582912.0)  # 1.5 * 2**23, as _MAGIC
_ONE_BITS_32 = np.int32(0x3F800000)
_MANTISSA_32 = np.int32(0x007FFFFF)
_ONE_32 = np.float32(1.0)
_FOUR_32 = np.float32(4.0)
_LIMIT_32 = np.float32(80.0)
_THIRD, _FIFTH, _SEVENTH, _NINTH = np.float32(1 / 3), np.float32(1 / 5), np.float32(1 / 7), np.float32(1 / 9)
_E2, _E3, _E4 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24)
_E5, _E6 = np.float32(1 / 120), np.float32(1 / 720)
_TOP_32 = tuple(np.float32(c) for c in (
    1.2533141244494561, 0.447539628605786, 0.09107131312501766, 0.01254111939392738, 0.001140974966413354,
    5.9725101384110174e-05, 1.9397195847437624e-07,
))  # fmt: skip
_BOTTOM_32 = tuple(np.float32(c) for c in (
    1.0, 0.09528527427400084, 0.034688094691966376, 0.0023158269067674432, 0.0002495491719918747,
    3.7763439081791887e-06,
))  # fmt: skip


@lane
def exp32(x):
    """e**x in single precision for |x| <= 80 (clipped beyond), relative error below 3e-7."""
    x = -_LIMIT_32 if x < -_LIMIT_32 else x
    x = _LIMIT_32 if x > _LIMIT_32 else x
    shifted = x * _LOG2E_32 + _MAGIC_32
    n = shifted - _MAGIC_32
    r = (x - n * _LN2_HIGH_32) - n * _LN2_LOW_32
    r2 = r * r
    y = (_ONE_32 + r) + r2 * ((_E2 + r * _E3) + r2 * ((_E4 + r * _E5) + r2 * _E6))
    power = (np.float32(shifted).view(np.int32) << 23) + _ONE_BITS_32
    return y * np.int32(power).view(np.float32)


@lane
def log32(x):
    """Natural logarithm of a positive normal number in single precision."""
    bits = np.float32(x).view(np.int32)
    e = np.float32(np.int32((bits >> 23) - 127))
    m = np.int32((bits & _MANTISSA_32) | _ONE_BITS_32).view(np.float32)
    s = (m - _ONE_32) / (m + _ONE_32)
    z = s * s
    y = (_ONE_32 + z * _THIRD) + z * z * ((_FIFTH + z * _SEVENTH) + z * z * _NINTH)
    return e * _LN2_32 + (s + s) * y


@lane
def normal32(t):
    """Standard normal quantile in single precision, of t = -u below the median and 1 - u above it; error in p 2e-5 p.

    The tail probability with a sign keeps its relative precision in both tails. The rational function is that of
    `normal`, written in w = -log(4u(1 - u)) with positive coefficients alone, so that nothing cancels.
    """
    u = -t if t < 0 else t
    w = -log32(_FOUR_32 * u * (_ONE_32 - u))
    w2 = w * w
    top = (_TOP_32[0] + w * _TOP_32[1]) + w2 * (_TOP_32[2] + w * _TOP_32[3])
    top = top + w2 * w2 * ((_TOP_32[4] + w * _TOP_32[5]) + w2 * _TOP_32[6])
    bottom = (_BOTTOM_32[0] + w * _BOTTOM_32[1]) + w2 * (_BOTTOM_32[2] + w * _BOTTOM_32[3])
    bottom = bottom + w2 * w2 * (_BOTTOM_32[4] + w * _BOTTOM_32[5])
    z = (_ONE_32 - (u + u)) * top / bottom
    return -z if t < 0 else z


@compiled
def narrow_normals(block, row, noise, out, n):
    """Turn a row of uniforms into a row of standard normals in single precision."""
    for p in range(n):
        u = block[row, p]
        noise[out, p] = np.float32(1.0 - u if u > 0.5 else -u)
    for p in range(n):
        noise[out, p] = normal32(noise[out, p])


@lane
def normal_cdf(z):
    """Standard normal distribution function, kept in [2**-33, 1 - 2**-33]; relative error in the tails below 1e-10."""
    x = -z if z < 0.0 else z
    x = 9.0 if x > 9.0 else x
    s = x * (2.0 / 9.0) - 1.0
    top = 0.0061344807897211456
    top = top * s + 0.04940913342742171
    top = top * s + 0.16275760920234203
    top = top * s + 0.2745001325973795
    top = top * s + 0.2375765977235305
    top = top * s + 0.08480339210695946
    bottom = 0.06919623109144678
    bottom = bottom * s + 0.6265203684686891
    bottom = bottom * s + 2.396628182128932
    bottom = bottom * s + 4.956278050033594
    bottom = bottom * s + 5.8424000064060655
    bottom = bottom * s + 3.7209380602917417
    bottom = bottom * s + 1.0
    tail = exp(-0.5 * x * x) * top / bottom
    tail = SMALLEST if tail < SMALLEST else tail
    return tail if z < 0.0 else 1.0 - tail


@compiled
def normal_row(block, row, n):
    """Turn a row of uniforms into standard normals, in place."""
    for p in range(n):
        block[row, p] = normal(block[row, p])


@lane
def table_cell(bits, u):
    """Cell and fraction of `u` in a table whose cells halve towards both ends: 2**bits an octave of min(u, 1 - u)."""
    upper = u > 0.5
    x = 1.0 - u if upper else u
    x = SMALLEST if x < SMALLEST else x
    pattern = np.float64(x).view(np.int64)
    cell = (pattern >> (np.int64(52) - bits)) - (np.int64(_LOWEST_OCTAVE) << bits)
    fraction = np.int64(((pattern << bits) & np.int64(0x000FFFFFFFFFFFFF)) | _ONE_BITS).view(np.float64) - 1.0
    half = (np.int64(OCTAVES) << bits) + np.int64(1)
    return cell + (half if upper else np.int64(0)), fraction


@compiled
def table_row(block, row, n, loc, scale, table, start, bits, cells):
    """Turn uniforms into loc + scale Q(u), Q being linear within the cells of a table, in place.

    The error in p is at most 2**-bits min(p, 1 - p) for any monotone Q, and far less for a smooth one. The cells are
    found in a loop of their own: the loads by index keep the second loop from becoming vector code.
    """
    for p in range(n):
        cells[p], block[row, p] = table_cell(bits, block[row, p])
    for p in range(n):
        at = start + cells[p]
        low = table[at]
        block[row, p] = loc + scale * (low + block[row, p] * (table[at + 1] - low))


@compiled
def triangular_row(block, row, n, loc, scale, mode):
    """Turn uniforms into triangular variates on [loc, loc + scale], `mode` as a fraction of the way, in place."""
    for p in range(n):
        u = block[row, p]
        rising = np.sqrt(u * mode)
        falling = 1.0 - np.sqrt((1.0 - u) * (1.0 - mode))
        block[row, p] = loc + scale * (rising if u < mode else falling)


@compiled
def steps_row(block, row, n, table, start, size):
    """Turn uniforms into the ceil(size u)-th smallest of `size` sorted samples, in place."""
    for p in range(n):
        at = np.int64(np.ceil(block[row, p] * size)) - 1
        block[row, p] = table[start + max(at, 0)]


@compiled
def quantile_row(block, row, n, kind, loc, scale, shape, table, start, bits, cells):
    """Turn a row of uniforms into variates of one distribution, in place.

    CONSTANT: loc. UNIFORM: loc + scale u. TRIANGULAR: `shape` is the mode. NORMAL: loc + scale z. LOGNORMAL: exp of it.
    TABLE: loc + scale Q(u). STEPS: samples, `bits` of them. `cells` is a scratch row of int64.
    """
    if kind == CONSTANT:
        for p in range(n):
            block[row, p] = loc
    elif kind == UNIFORM:
        for p in range(n):
            block[row, p] = loc + scale * block[row, p]
    elif kind == NORMAL:
        for p in range(n):
            block[row, p] = loc + scale * normal(block[row, p])
    elif kind == LOGNORMAL:
        for p in range(n):
            block[row, p] = exp(loc + scale * normal(block[row, p]))
    elif kind == TRIANGULAR:
        triangular_row(block, row, n, loc, scale, shape)
    elif kind == TABLE:
        table_row(block, row, n, loc, scale, table, start, bits, cells)
    else:
        steps_row(block, row, n, table, start, bits)


def family_rows(family, first, spacing, shape, out):
    """Lower halves of the quantile tables of a one-shape family, a row for each shape.

    `family` holds log Q at the nodes, a row for each shape first, first + spacing, ...; rows between are cubic in the
    shape.
    """
    share_out(lambda a, b: _family_rows(family, first, spacing, shape[a:b], out[a:b]), shape.size)


@compiled
def _family_rows(family, first, spacing, shape, out):
    last = family.shape[0] - 1
    for w in range(shape.size):
        position = (shape[w] - first) / spacing
        row = min(max(int(np.floor(position)) - 1, 0), last - 3)
        x = position - row
        c0 = -(x - 1.0) * (x - 2.0) * (x - 3.0) / 6.0
        c1 = x * (x - 2.0) * (x - 3.0) / 2.0
        c2 = -x * (x - 1.0) * (x - 3.0) / 2.0
        c3 = x * (x - 1.0) * (x - 2.0) / 6.0
        for j in range(family.shape[1]):
            value = c0 * family[row, j] + c1 * family[row + 1, j] + c2 * family[row + 2, j] + c3 * family[row + 3, j]
            out[w, j] = exp(value)


# Above this mean the plain search from 0 gives way to one that starts near the answer.
_SEARCH_LIMIT = 40.0
_SEARCH_STEPS = 400.0


@compiled
def poisson_row(block, out, u, mean, n, work):
    """Poisson quantiles by search from 0, all lanes a step at a time: out = smallest k with F(k) >= u.

    `out` must be neither `u` nor `mean`; two rows from `work` on are scratch.
    """
    if _any_above(block, mean, n, _SEARCH_LIMIT):
        for p in range(n):
            block[out, p] = _poisson_far(block[u, p], block[mean, p])
        return
    term, cumulative = work, work + 1
    for p in range(n):
        block[term, p] = exp(-block[mean, p])
    for p in range(n):
        block[cumulative, p] = block[term, p]
        block[out, p] = 0.0
    k = 0.0
    while k < _SEARCH_STEPS and _open_lanes(block, u, cumulative, n) > 0:
        k += 1.0
        inverse = 1.0 / k
        for p in range(n):
            so_far, next_term = block[cumulative, p], block[term, p] * block[mean, p] * inverse
            block[out, p] += 1.0 if block[u, p] > so_far else 0.0
            block[term, p] = next_term
            block[cumulative, p] = so_far + next_term


@compiled
def binomial_row(block, out, u, trials, logit, log_none, n, work):
    """Binomial quantiles by search from 0, all lanes a step at a time.

    The row `logit` holds h / (1 - h) and `log_none` the log of (1 - h), h being the chance of one success.
    """
    term, cumulative = work, work + 1
    for p in range(n):
        block[term, p] = -block[trials, p] * block[log_none, p]
    if _any_above(block, term, n, _SEARCH_LIMIT):
        for p in range(n):
            block[out, p] = _binomial_far(block[u, p], block[trials, p], block[logit, p], block[log_none, p])
        return
    for p in range(n):
        block[term, p] = exp(-block[term, p])
    for p in range(n):
        block[cumulative, p] = block[term, p]
        block[out, p] = 0.0
    k = 0.0
    while k < _SEARCH_STEPS and _open_lanes(block, u, cumulative, n) > 0:
        k += 1.0
        inverse = 1.0 / k
        for p in range(n):
            so_far, count, most = block[cumulative, p], block[out, p], block[trials, p]
            left = most - (k - 1.0)
            next_term = block[term, p] * block[logit, p] * (left if left > 0.0 else 0.0) * inverse
            block[out, p] = count + (1.0 if (block[u, p] > so_far) & (count < most) else 0.0)
            block[term, p] = next_term
            block[cumulative, p] = so_far + next_term


@compiled
def _any_above(block, row, n, limit):
    count = 0
    for p in range(n):
        count += 1 if block[row, p] > limit else 0
    return count > 0


@compiled
def _open_lanes(block, u, cumulative, n):
    """Count the lanes whose search goes on (a sum of whole numbers, which may be reordered into vector code)."""
    count = 0
    for p in range(n):
        count += 1 if block[u, p] > block[cumulative, p] else 0
    return count


@compiled
def _log_factorial(k):
    """Logarithm of k!, by Stirling's series from 10 on."""
    if k < 10.0:
        product = 1.0
        for j in range(2, int(k) + 1):
            product *= j
        return np.log(product)
    x = k + 1.0
    return (x - 0.5) * np.log(x) - x + 0.9189385332046727 + 1.0 / (12.0 * x) - 1.0 / (360.0 * x * x * x)


@compiled
def _poisson_far(u, mean):
    """Smallest k with F(k) >= u for a large mean: sum the distribution downwards from a guess, then step."""
    if mean <= 0.0:
        return 0.0
    start = np.floor(mean + np.sqrt(mean) * normal(u))
    start = 0.0 if start < 0.0 else start
    at = np.exp(start * np.log(mean) - mean - _log_factorial(start))
    total = 0.0
    term = at
    k = start
    while k >= 0.0 and (term > 1e-17 * (total + 1e-290) or k > mean):
        total += term
        term = term * k / mean
        k -= 1.0
    term = at
    k = start
    while total < u and term > 0.0:
        k += 1.0
        term = term * mean / k
        total += term
    while k > 0.0 and total - term >= u:
        total -= term
        term = term * k / mean
        k -= 1.0
    return k


@compiled
def _binomial_far(u, trials, logit, log_none):
    """Smallest k with F(k) >= u for many trials, as `_poisson_far`."""
    if trials <= 0.0 or logit <= 0.0:
        return 0.0
    h = logit / (1.0 + logit)
    mean = trials * h
    start = np.floor(mean + np.sqrt(mean * (1.0 - h)) * normal(u))
    start = min(max(start, 0.0), trials)
    ways = _log_factorial(trials) - _log_factorial(start) - _log_factorial(trials - start)
    at = np.exp(ways + start * np.log(logit) + trials * log_none)
    total = 0.0
    term = at
    k = start
    while k >= 0.0 and (term > 1e-17 * (total + 1e-290) or k > mean):
        total += term
        term = term * k / ((trials - k + 1.0) * logit)
        k -= 1.0
    term = at
    k = start
    while total < u and k < trials:
        k += 1.0
        term = term * logit * (trials - k + 1.0) / k
        total += term
    while k > 0.0 and total - term >= u:
        total -= term
        term = term * k / ((trials - k + 1.0) * logit)
        k -= 1.0
    return k
