"""The model a second time, in plain NumPy, as a good NumPy user would write it from the text: a baseline and a check.

Arrays run over the paths of a chunk, of shape (n,) or (streams, n); Python loops run over months, risks, occurrence
numbers and the entries of an exposure. Each step of section 3 of the model is one function, in the order and with the
letters of the text. Nothing is shared with the engine; reading the scenario is shared with `numpy_tuned`, which is the
same model tuned by hand. One scenario is one world: all uncertain quantities are plain numbers.

All steps take the scenario as read, `model`, and the state of the chunk, `s`, which they change; t is the month from 0,
`struck` what `strikes` returns. It runs on one core; set ``OPENBLAS_NUM_THREADS=1`` where its speed is measured.
"""

from types import SimpleNamespace

import numpy as np
from scipy import special

from benchmarks.reading import TOLERANCE, Copula, ramp_integral, read, response

GREEN, YELLOW, RED = 0, 1, 2


# ----------------------------------------------------------------------------------------------- draws made once a path


def start_times(risk, model, copula, rng, n):
    """Draw the starts tau by occurrence number, in time, and path; infinite where there is no such occurrence."""
    a, b = risk.window
    if risk.rate == 0:
        return np.full((1, n), np.inf)
    if risk.rate is not None:
        tau = a + np.cumsum(rng.exponential(12 / risk.rate, (risk.max_events, n)), axis=0)
        return np.where(tau < b, tau, np.inf)
    driver = f"risks.{risk.name}.occurs"
    if driver in model.copula:
        occurs = copula.normal(driver, 0) > special.ndtri(1 - risk.p)
    else:
        occurs = rng.random(n) < risk.p
    u = rng.random(n)
    if risk.hazard and risk.p > 0:
        u = np.log1p(-risk.p * u) / np.log1p(-risk.p)
    return np.where(occurs, a + (b - a) * u, np.inf)[None]


def occurrences(risk, model, copula, rng, n):
    """Draw the occurrences of a risk: one record an occurrence number that any path has.

    tau, S, D and m are by path, depth by entry of the exposure and path; one is open only between `first` and `last`.
    """
    out, entries = [], np.array([x for x, _ in risk.classes])[:, None]
    for number, tau in enumerate(start_times(risk, model, copula, rng, n)):
        path = np.flatnonzero(np.isfinite(tau))
        if not path.size:
            break

        def draw(law, driver, path=path, number=number):
            values = np.zeros(n)
            values[path] = copula.draw(law, f"risks.{risk.name}.{driver}", number, path)
            return values

        k = SimpleNamespace(tau=tau, S=draw(risk.severity, "severity"))
        k.D = np.maximum(model.T - tau, 0) if risk.duration is None else draw(risk.duration, "duration")
        if risk.decay:
            k.D = np.maximum(k.D, TOLERANCE)  # exp(-u / D) needs D > 0
        k.depth = np.minimum(1, entries * k.S)
        if risk.answers:
            k.responds = k.S >= risk.trigger
            k.m = np.where(k.responds, draw(risk.effectiveness, "response.effectiveness"), 0)
            k.m_capped = np.minimum(k.m, 1)
        k.first, k.last = tau.min(), np.inf if risk.decay else (tau + k.D)[path].max()
        out.append(k)
    return out


def begin(model, rng, n):
    """Make the state of a chunk before the first month, with all draws that are made once a path."""
    T, I, R, F, L = model.T, *map(len, (model.streams, model.risks, model.funds, model.levels))
    s, copula, everyone = SimpleNamespace(n=n, rng=rng), Copula(model.copula, rng, n), np.arange(n)
    s.E = [copula.draw(b.effectiveness, f"lines.{b.name}.effectiveness", 0, everyone) for b in model.working]
    s.A, s.c = [b.initial for b in model.working], {}
    s.slip = [copula.draw(launch.slip, launch.driver, 0, everyone) for launch in model.launches]
    s.occurrences = [occurrences(risk, model, copula, rng, n) for risk in model.risks]
    s.d = rng.normal(0, model.sd, n)
    s.N = np.repeat(np.array([[c.count] for c in model.customers], int).reshape(-1, 1), n, axis=1)
    s.backlog = {r: np.zeros((I, n)) for r, risk in enumerate(model.risks) if risk.deferred}
    s.balance = np.repeat(model.reserve[:, None], n, axis=1)
    s.acted = np.full((L, n), -1)
    s.cumulative, s.corrected = np.zeros(n), np.zeros(n)
    s.revenue, s.margin, s.count = ([np.zeros((len(g.parts), n)) for g in model.targets] for _ in range(3))
    s.kept = [np.ones((len(g.parts), n)) for g in model.targets]
    s.out = {key: np.zeros(n) for key in ("gross_margin", "incentive_cost")}
    s.out |= {key: np.zeros((T, n)) for key in ("monthly_revenue", "lag")}
    s.out |= {key: np.zeros((R, n)) for key in ("loss", "response_cost")}
    s.out |= {"revenue_by_stream": np.zeros((I, n)), "fund_need": np.zeros((F, n))}
    s.out |= {"fund_exhausted": np.zeros((F, n), bool), "review_acted": np.zeros((L, n), bool)}
    s.out["status"] = np.full((T, n), GREEN, np.int8)
    return s


# ------------------------------------------------------------------------------------------------------------ the month


def spend(model, s, t):
    """3.1: effective spend A and response U of the lines; returns the lift by stream and path."""
    EU = np.empty((len(model.working), s.n))
    for b, line in enumerate(model.working):
        x = line.x[t] + s.c.get(line.name, 0)  # a number until the line gets corrective money, which differs by path
        s.A[b] = line.carryover * s.A[b] + (1 - line.carryover) * x
        EU[b] = s.E[b] * response(line, s.A[b])
    return np.maximum(-1, model.reach.T @ EU)


def base_volume(model, s, t, lift):
    """3.2: V by stream and path; `model.base` holds the factors that all paths share."""
    V = model.base[t][:, None] * (1 + lift)
    for launch, slip in zip(model.launches, s.slip, strict=True):
        u = t - launch.start - slip
        V[launch.i] *= ramp_integral(u + 1, launch.ramp) - ramp_integral(u, launch.ramp)
    for c, N in zip(model.customers, s.N, strict=True):  # here lift works on wins only
        V[c.i] = model.base[t, c.i] * N
    return V


def demand_and_noise(model, s, t, V):
    """3.3: Y0 by stream and path."""
    if t > 0:
        s.d = model.persistence * s.d + s.rng.normal(0, model.sigma, s.n)
    z = s.rng.standard_normal(V.shape)
    if model.common:
        z = np.sqrt(model.common) * s.rng.standard_normal(s.n) + np.sqrt(1 - model.common) * z
    beta, vol = model.beta[:, None], model.vol[:, None]
    return V * model.level * np.exp(beta * s.d + vol * z - ((beta * model.sd) ** 2 + vol**2) / 2)


def integral(risk, k, t, wait):
    """3.4: the integral of an occurrence's shape over month t, counted from tau + wait on, without the buffer."""
    a, b = np.maximum(t - k.tau, wait), np.maximum(t + 1 - k.tau, wait)
    if risk.decay:
        return k.D * (np.exp(-a / k.D) - np.exp(-b / k.D))
    return np.maximum(np.minimum(b, k.D) - a, 0)


def counted(risk, k, t, wait):
    """3.4: o with wait = 0, oR with wait = lag: the buffered share counts only from `late` on."""
    if not risk.share:
        return integral(risk, k, t, wait)
    return (1 - risk.share) * integral(risk, k, t, wait) + risk.share * integral(risk, k, t, max(wait, risk.late))


def union(intervals, t):
    """3.4, 3.5: the share of month t in the union of intervals (begin, end), which come ordered by their begin."""
    total, reached = 0.0, float(t)
    for start, end in intervals:
        total = total + np.maximum(np.minimum(end, t + 1) - np.maximum(start, reached), 0)
        reached = np.maximum(end, reached)
    return total


def strikes(model, s, t):
    """3.4: what the occurrences of each risk do in month t: one record a risk that any path has open.

    Summed over the occurrences: depth o (`hit`), depth m oR (`undone`) and depth oR min(m, 1) (`stake`) by entry of the
    exposure and path, S o and S m oR by path. `on` and `busy` are shares of the month.
    """
    out = []
    for r, risk in enumerate(model.risks):
        ks = [k for k in s.occurrences[r] if k.first < t + 1 and k.last > t]
        if not ks:
            continue
        strike = SimpleNamespace(r=r, risk=risk, hit=0, undone=0, stake=0, So=0, SmoR=0, lost=[])
        by_severity = risk.margin_loss or risk.churn_multiplier
        for k in ks:
            o = counted(risk, k, t, 0)
            strike.hit += k.depth * o
            if by_severity:
                strike.So += k.S * o
            if risk.answers:
                oR = counted(risk, k, t, risk.lag) if risk.lag else o
                moR = k.m * oR
                strike.undone += k.depth * moR
                if by_severity:
                    strike.SmoR += k.S * moR
                if risk.cost_ratio:
                    strike.stake += k.depth * (k.m_capped * oR)
        if risk.deferred:
            strike.on = union([(k.tau, k.tau + k.D) for k in ks], t)
        if risk.cost_per_month:
            starts = [np.where(k.responds, k.tau + risk.lag, np.inf) for k in ks]
            ends = [np.where(k.responds, k.tau + k.D, -np.inf) for k in ks]
            strike.busy = union(zip(starts, ends, strict=True), t)
        out.append(strike)
    return out


def cover(model, s, struck, Y0):
    """3.4: the needs of the responses, the share a of them that each fund pays, and the payment."""
    needs = {}
    for strike in struck:
        risk, strike.a = strike.risk, 1
        if not risk.answers:
            continue
        need = np.zeros(s.n)
        if risk.cost_ratio:
            for (_, streams), stake in zip(risk.classes, strike.stake, strict=True):
                need += Y0[streams].sum(axis=0) * stake
            need = np.maximum(0, risk.cost_ratio * need)
        if risk.cost_per_month:
            need += risk.cost_per_month * strike.busy
        needs.setdefault(risk.fund, []).append((strike, need))
    for fund, drawing in needs.items():
        a = 1
        if fund is not None:
            total = sum(need for _, need in drawing)
            short = total > s.balance[fund]
            a = np.where(short, s.balance[fund] / np.where(short, total, 1), 1)
            s.balance[fund] = np.where(short, 0, s.balance[fund] - total)
            s.out["fund_need"][fund] += total
            s.out["fund_exhausted"][fund] |= short
        for strike, need in drawing:
            strike.a = a
            s.out["response_cost"][strike.r] += a * need


def share_out(parts, Y):
    """3.4, attribution: let the parts (streams, hit by path) act on Y; hits are positive, gains negative.

    Returns Y afterwards, and the loss for one unit of hit by stream and path: the fall of Y / the sum of the hits.
    """
    keep, total = np.ones_like(Y), np.zeros_like(Y)
    for streams, h in parts:
        kept = 1 - h
        for i in streams:  # row by row: keep[streams] would copy the rows out and in again
            keep[i] *= kept
            total[i] += h
    after = Y * keep
    return after, np.divide(Y - after, total, out=np.zeros_like(Y), where=total != 0)


def hits(s, struck, Y0):
    """3.4: Y from Y0, and the losses and gains by risk; keeps the losses that may be deferred in `strike.lost`."""
    losses, gains = [], []
    for strike in struck:
        hit = np.minimum(1, strike.hit - strike.a * strike.undone)
        for (_, streams), h in zip(strike.risk.classes, hit, strict=True):
            if h.min() < 0:
                gains.append((strike, streams, np.minimum(h, 0)))
                h = np.maximum(h, 0)
            losses.append((strike, streams, h))
    Y = Y0
    for parts in (losses, gains):
        if not parts:
            continue
        Y, ratio = share_out([(streams, h) for _, streams, h in parts], Y)
        for strike, streams, h in parts:
            s.out["loss"][strike.r] += ratio[streams].sum(axis=0) * h
            if strike.risk.deferred and parts is losses:
                strike.lost.append((streams, ratio[streams] * h))
    return Y


def deferral(model, s, struck, Y):
    """3.5: what comes back of the backlogs joins Y; the deferred part of the month's losses joins the backlogs."""
    now = {strike.r: strike for strike in struck}
    for r, backlog in s.backlog.items():
        risk, on = model.risks[r], now[r].on if r in now else 0
        back = (risk.release * (1 - on)) * backlog
        Y += back
        backlog -= back
        s.out["loss"][r] -= back.sum(axis=0)
        if r in now:
            for streams, lost in now[r].lost:
                backlog[streams] += risk.deferred * lost


def customers(model, s, struck, t, lift):
    """3.6: customers lost and won at the end of the month, and what the targets need of it."""
    lost, won = np.zeros_like(s.N), np.zeros_like(s.N)
    for j, c in enumerate(model.customers):
        extra = np.zeros(s.n)
        for strike in struck:
            factor = strike.risk.churn_multiplier * strike.risk.clipped[c.i]
            if factor:
                extra += factor * (strike.So - strike.a * strike.SmoR)
        h = 1 - (1 - c.churn) ** ((1 + np.maximum(0, extra)) * c.kept / 12)
        lost[j] = s.rng.binomial(s.N[j], h)
        won[j] = s.rng.poisson(c.wins[t] * (1 + lift[c.i]))
    after = s.N - lost + won
    for g, target in enumerate(model.targets):
        if target.measure not in ("customers", "retention") or t not in target.months:
            continue
        for side, streams in enumerate(target.parts):
            ours = [j for j, c in enumerate(model.customers) if streams[c.i]]
            s.count[g][side] = after[ours].sum(axis=0)
            s.kept[g][side] *= 1 - lost[ours].sum(axis=0) / np.maximum(1, s.N[ours].sum(axis=0))
    s.N = after


def review(model, s, t):
    """3.7: lag, status, and the corrective money c of next month."""
    s.cumulative += s.out["monthly_revenue"][t]
    plan = model.plan[: t + 1].sum()
    lag = 1 - s.cumulative / plan if plan > 0 else np.zeros(s.n)
    s.out["lag"][t], s.c = lag, {}
    if not model.levels:
        return
    status = np.where(lag >= model.levels[0]["lag"], YELLOW, GREEN)
    s.out["status"][t] = np.where(lag >= model.levels[-1]["lag"], RED, status)
    if t == model.T - 1:
        return
    highest = sum((lag > level["lag"]).astype(int) for level in model.levels) - 1  # levels are ordered by lag
    for j, level in enumerate(model.levels):
        act = (highest == j) & (s.acted[j] != model.quarter[t])
        if not act.any():
            continue
        s.acted[j, act] = model.quarter[t]
        s.out["review_acted"][j] |= act
        given, fund = np.where(act, level["amount"], 0.0), level["fund"]
        if fund is not None:
            s.out["fund_need"][fund] += given
            s.out["fund_exhausted"][fund] |= given > s.balance[fund]
            given = np.minimum(given, s.balance[fund])
            s.balance[fund] -= given
        name = model.lines[level["line"]].name
        s.c[name] = s.c.get(name, 0) + given
        s.corrected += given


def money(model, s, struck, t, Y):
    """3.8: revenue, gross margin and incentives of the month, and what the targets need of it."""
    revenue = Y.sum(axis=0)
    s.out["monthly_revenue"][t] = revenue
    s.out["revenue_by_stream"] += Y
    rate = np.repeat(model.margin[:, None], s.n, axis=1)
    for strike in struck:
        if strike.risk.margin_loss:
            rate -= strike.risk.margin_loss * strike.risk.clipped[:, None] * strike.So
    margin = Y * rate
    s.out["gross_margin"] += margin.sum(axis=0)
    if model.tiers:
        attainment = revenue / model.plan[t] if model.plan[t] > 0 else np.full(s.n, np.inf)
        pay = np.zeros(s.n)
        for threshold, tier in model.tiers:
            pay = np.where(attainment >= threshold - TOLERANCE, tier, pay)
        s.out["incentive_cost"] += pay * (model.paid @ Y)
    for g, target in enumerate(model.targets):
        if t not in target.months:
            continue
        if target.measure in ("revenue", "margin_rate"):
            s.revenue[g] += np.array(target.parts) @ Y
        if target.measure in ("gross_margin", "margin_rate"):
            s.margin[g] += np.array(target.parts) @ margin


def targets_met(model, s):
    """3.8: whether each target is met, `revenue >= plan.target` first."""
    met = [s.out["revenue"] >= model.target * (1 - TOLERANCE)]
    for g, target in enumerate(model.targets):
        if target.measure == "fund_left":
            sides = [s.balance[target.funds].sum(axis=0)]
        elif target.measure == "incentive_overrun":
            sides = [np.maximum(0, s.out["incentive_cost"] - model.pay_budget)]
        elif target.measure == "margin_rate":
            sides = s.margin[g] / np.maximum(s.revenue[g], 1e-300)
        else:
            kinds = {"revenue": s.revenue, "gross_margin": s.margin, "customers": s.count, "retention": s.kept}
            sides = kinds[target.measure][g]
        value = sides[0] / np.maximum(sides[1], 1e-300) if len(sides) > 1 else sides[0]
        if target.low is not None:
            met.append(value >= target.low - TOLERANCE * abs(target.low))
        else:
            met.append(value <= target.high + TOLERANCE * abs(target.high))
    return np.array(met)


def run_chunk(model, rng, n):
    """Simulate all months of `n` paths; returns what `simulate` returns."""
    s = begin(model, rng, n)
    for t in range(model.T):
        lift = spend(model, s, t)
        V = base_volume(model, s, t, lift)
        Y0 = demand_and_noise(model, s, t, V)
        struck = strikes(model, s, t)
        cover(model, s, struck, Y0)
        Y = hits(s, struck, Y0)
        deferral(model, s, struck, Y)
        customers(model, s, struck, t, lift)
        money(model, s, struck, t, Y)
        review(model, s, t)
    out = s.out
    out["revenue"] = out["monthly_revenue"].sum(axis=0)
    out["revenue_deferred_out"] = sum((b.sum(axis=0) for b in s.backlog.values()), np.zeros(n))
    spent = model.fixed_spend + s.corrected + out["response_cost"].sum(axis=0) + out["incentive_cost"]
    out["contribution"] = out["gross_margin"] - spent
    out["fund_balance"], out["customers"] = s.balance, s.N
    out["target_met"] = targets_met(model, s)
    return out


def simulate(scenario: dict, paths: int, seed: int, chunk: int = 50_000) -> dict[str, np.ndarray]:
    """Simulate one world.

    Parameters
    ----------
    scenario : dict
        A resolved scenario as nested dicts, every uncertain quantity a plain number (or ``{value, source, note}``).
    paths, seed : int
        Number of paths and seed of the generator.
    chunk : int
        Paths worked on at once; it bounds the memory.

    Returns
    -------
    dict of numpy.ndarray
        Results with the paths last: ``revenue`` (n,), ``monthly_revenue`` (T, n), ``loss`` (risks, n), ...
    """
    model, rng = read(scenario), np.random.default_rng(seed)
    parts = [run_chunk(model, rng, min(chunk, paths - first)) for first in range(0, paths, chunk)]
    return {key: np.concatenate([part[key] for part in parts], axis=-1) for key in parts[0]}
