"""Customers lost and won at the end of a month (model 3.6)."""

from engine.kernels.jit import step
from engine.kernels.rows import add_scaled, copy, fill
from engine.kernels.variates import binomial_row, exp, poisson_row


@step
def extra_churn(number, whole, risk, row, block, mark, live, profile, extra, n):
    """extra = max(0, sum of churn multiplier * clip(exposure, 0, 1) * sum_k S (o - a m oR)), for one profile."""
    fill(block, extra, 0.0, n)
    found = False
    for entry in range(whole[risk.profile_ptr + profile], whole[risk.profile_ptr + profile + 1]):
        c = whole[risk.profile_class + entry]
        r = whole[risk.class_risk + c]
        factor = number[risk.churn + r] * min(max(number[risk.exposure + c], 0.0), 1.0)
        if mark[live + r] == 0 or factor == 0.0:
            continue
        found = True
        add_scaled(block, extra, factor, row.net_severity + r, n)
    if found:
        for p in range(n):
            block[extra, p] = 0.0 if block[extra, p] < 0.0 else block[extra, p]


@step
def lose(block, count, lost, u, stay, extra, work, n):
    """lost ~ Binomial(N, h), h = 1 - (1 - churn)^((1 + extra)(1 - rescue)/12); `stay` is log(1 - h) at extra = 0."""
    log_none, logit = work, work + 1
    for p in range(n):
        block[log_none, p] = (1.0 + block[extra, p]) * stay
    for p in range(n):
        block[logit, p] = exp(-block[log_none, p]) - 1.0
    binomial_row(block, lost, u, count, logit, log_none, n, work + 2)


@step
def win(block, count, u, wins, lift, work, n):
    """N += Poisson(wins (1 + lift))"""
    mean, won = work, work + 1
    for p in range(n):
        block[mean, p] = wins * (1.0 + block[lift, p])
    poisson_row(block, won, u, mean, n, work + 2)
    for p in range(n):
        block[count, p] += block[won, p]


@step
def turn_over(number, whole, at, risk, row, customers, block, mark, live, months, fours, month, n):
    """Customers lost and won at the end of the month, for every customer stream."""
    extra, padded = row.work + 5, 4 * fours
    for j in range(at.clients):
        i = whole[at.client_stream + j]
        count, lost = customers + j, row.lost + j
        copy(block, row.before + j, count, n)
        uniform = row.client_uniform + 2 * padded * j + month
        stay = number[at.client_stay + j]
        if stay < 0.0:
            extra_churn(number, whole, risk, row, block, mark, live, whole[at.profile + i], extra, n)
            lose(block, count, lost, uniform, stay, extra, row.work, n)
        else:
            fill(block, lost, 0.0, n)
        wins = number[at.client_wins + j * months + month]
        if wins > 0.0:
            win(block, count, uniform + padded, wins, row.lift + whole[at.lift_group + i], row.work, n)
        add_scaled(block, count, -1.0, lost, n)
