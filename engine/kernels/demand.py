"""Demand, noise and volume (model 3.2, 3.3)."""

import numpy as np

from engine.kernels.jit import part, step
from engine.kernels.variates import exp, exp32

# rows of a block's noises, in single precision: demand, a factor, the months of the common noise, those of each stream
STATE, FACTOR, COMMON = 0, 1, 2


def noise_rows(at):
    """Rows of a block's noises."""
    return COMMON + 4 * at.control.fours * (1 + at.stream.streams)


@step
def advance(number, at, block, state, shock, month, n):
    """d_t = persistence d_{t-1} + volatility e_t; d_0 has the stationary sd volatility / sqrt(1 - persistence^2)."""
    persistence, volatility = number[at.persistence], number[at.volatility]
    if month == 0:
        spread = volatility / np.sqrt(1.0 - persistence * persistence)
        for p in range(n):
            block[state, p] = spread * block[shock, p]
    else:
        for p in range(n):
            block[state, p] = persistence * block[state, p] + volatility * block[shock, p]


@part
def launch_row(block, row, slip, missing, first, start, ramp, month, n):
    """row *= G_t of a launch that slips by the row `slip`.

    G_t is the mean over the month of 1 - exp(-(u - begin) / ramp) for u beyond `begin`, else 0; a ramp of 0 is at once.
    The row `missing` keeps exp(-(u - begin) / ramp) from one month's end to the next month's start; `first` holds what
    it is at the end of the month in which the launch begins. In every month after that it falls by the same factor.
    """
    inverse = 1.0 / (ramp if ramp > 0.0 else 1.0)
    fading = exp(-inverse)
    if month == 0:
        for p in range(n):
            begin = start + block[slip, p]
            block[first, p] = exp((begin - (np.floor(begin) + 1.0)) * inverse)
            block[missing, p] = exp(begin * inverse) if begin < 0.0 else 1.0
    for p in range(n):
        begin = start + block[slip, p]
        age, falling = month + 1.0 - begin, block[missing, p] * fading
        entered = block[first, p]
        after = entered if age <= 1.0 else falling
        after = after if age > 0.0 else 1.0
        length = age if age < 1.0 else 1.0
        share = length - ramp * (block[missing, p] - after)
        block[row, p] *= share if age > 0.0 else 0.0
        block[missing, p] = after


@part
def noise_factors(noise, own, common, shared, alone, beta, n):
    """Row of exp(beta d + shared n_t + alone n_{i,t}), in single precision."""
    for p in range(n):
        noise[FACTOR, p] = exp32(beta * noise[STATE, p] + shared * noise[common, p] + alone * noise[own, p])


@part
def volume_row(block, volume, least, source, out, n):
    """Base volume times 1 + lift, or times the number of customers where `least` is 0."""
    for p in range(n):
        block[out, p] = volume * (least + block[source, p])


@part
def noisy_row(block, noise, volume, least, source, out, n):
    """As `volume_row`, times the factor of demand and noise."""
    for p in range(n):
        block[out, p] = (volume * (least + block[source, p])) * np.float64(noise[FACTOR, p])


@step
def volumes(number, whole, at, demand, row, customers, block, noise, months, fours, month, n):
    """Y0 of each stream: its base volume times 1 + lift or customers, G_t, and exp(beta d + vol z).

    The constants that give demand and noise the mean 1 are part of the base volume.
    """
    moving, share = number[demand.volatility] > 0.0, number[demand.correlation]
    for p in range(n):
        noise[STATE, p] = np.float32(block[row.state, p])
    for i in range(at.streams):
        out, volume = row.base + whole[at.place + i], number[at.volume + i * months + month]
        client, launch = whole[at.client + i], whole[at.launch + i]
        least, source = (0.0, customers + client) if client >= 0 else (1.0, row.lift + whole[at.lift_group + i])
        volatility, beta = number[at.volatility + i], number[at.beta + i]
        if volatility > 0.0:
            shared, alone = np.float32(volatility * np.sqrt(share)), np.float32(volatility * np.sqrt(1.0 - share))
            own = COMMON + 4 * fours * (1 + i) + month
            noise_factors(noise, own, COMMON + month, shared, alone, np.float32(beta), n)
            noisy_row(block, noise, volume, least, source, out, n)
        else:
            volume_row(block, volume, least, source, out, n)
            if moving and beta != 0.0:
                for p in range(n):
                    block[out, p] *= exp(beta * block[row.state, p])
        if launch >= 0:
            start, ramp = number[at.launch_start + launch], number[at.launch_ramp + launch]
            slip, missing, first = row.slip + launch, row.missing + launch, row.missing_first + launch
            launch_row(block, out, slip, missing, first, start, ramp, month, n)
