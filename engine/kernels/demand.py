"""Demand, noise and volume (model 3.2, 3.3)."""

import numpy as np

from engine.kernels.jit import lane, step
from engine.kernels.variates import exp


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


@lane
def launch_share(month, begin, ramp):
    """G_t: mean over the month of 1 - exp(-(u - begin) / ramp) for u beyond `begin`, else 0; a ramp of 0 is at once."""
    x = begin if begin > month else month
    length = month + 1.0 - x
    length = length if length > 0.0 else 0.0
    inverse = 1.0 / (ramp if ramp > 0.0 else 1.0)
    missing = ramp * (exp(-(x - begin) * inverse) - exp(-(month + 1.0 - begin) * inverse))
    return length - missing if length > 0.0 else 0.0


@step
def launch_row(block, row, slip, start, ramp, month, n):
    """row *= G_t of a launch that slips by the row `slip`."""
    for p in range(n):
        block[row, p] *= launch_share(float(month), start + block[slip, p], ramp)


@step
def volumes(number, whole, at, row, customers, block, months, month, n):
    """V of each stream: its base volume times 1 + lift, G_t or the number of customers."""
    for i in range(at.streams):
        out, volume = row.y0 + i, number[at.volume + i * months + month]
        client, launch = whole[at.client + i], whole[at.launch + i]
        if client >= 0:
            count = customers + client
            for p in range(n):
                block[out, p] = volume * block[count, p]
        else:
            lift = row.lift + whole[at.lift_group + i]
            for p in range(n):
                block[out, p] = volume * (1.0 + block[lift, p])
        if launch >= 0:
            start, ramp = number[at.launch_start + launch], number[at.launch_ramp + launch]
            launch_row(block, out, row.slip + launch, start, ramp, month, n)


@step
def apply_noise(number, at, demand, row, block, slot, n):
    """y0 *= exp(beta d + vol z); the constants that give each factor the mean 1 are part of the base volume."""
    moving = number[demand.volatility] > 0.0
    share = number[demand.correlation]
    state, common = row.state, row.common + slot
    for i in range(at.streams):
        volatility, beta = number[at.volatility + i], number[at.beta + i]
        out, own = row.y0 + i, row.own + 4 * i + slot
        if volatility > 0.0:
            shared, alone = volatility * np.sqrt(share), volatility * np.sqrt(1.0 - share)
            for p in range(n):
                block[out, p] *= exp(beta * block[state, p] + shared * block[common, p] + alone * block[own, p])
        elif moving and beta != 0.0:
            for p in range(n):
                block[out, p] *= exp(beta * block[state, p])
