"""The model in NumPy, tuned by hand: how far array code can be taken on one core.

Not for reading: `numpy_twin` is the plain version of the same model. Here the occurrences are flat arrays of those that
are open, the exposures of a month are products of matrices, log Y0 is one sum with one exponential, hits that are
linear in severity take one row a risk, and the chunk stays in the cache. It answers whether a compiled kernel is worth
having against the best that NumPy does, and it is a second check of the kernel.

It runs on one core. Its matrix products are small: set ``OPENBLAS_NUM_THREADS=1``, or BLAS threads that wait for a busy
core make it several times slower.
"""

from types import SimpleNamespace

import numpy as np
from scipy import special

from benchmarks.reading import TOLERANCE, Copula, ramp_integral, read, response

GREEN, YELLOW, RED = 0, 1, 2


def prepare(model):
    """What is the same in all chunks: log of the base volume and of all fixed factors, and the classes of reach."""
    level = model.level * np.exp(-((model.beta * model.sd) ** 2 + model.vol**2) / 2)
    model.log_base = np.log(np.maximum(model.base * level, 1e-300))
    model.vol, model.vol_common = model.vol * np.sqrt(1 - model.common), model.vol * np.sqrt(model.common)
    model.reach, model.reach_class = np.unique(model.reach, axis=1, return_inverse=True)
    model.reach_class = model.reach_class.ravel()
    return model


# ------------------------------------------------------------------------------------------------- draws before January


def starts(risk, rng, copula, n):
    """Paths and start times of a risk's occurrences, one pair of arrays an occurrence number."""
    a, b = risk.window
    if risk.rate is None:
        driver = f"risks.{risk.name}.occurs"
        if driver in copula.groups:
            path = np.flatnonzero(copula.normal(driver, 0) > special.ndtri(1 - risk.p))
        else:
            path = np.flatnonzero(rng.random(n) < risk.p)
        u = rng.random(path.size)
        if risk.hazard:
            u = np.log1p(-risk.p * u) / np.log1p(-risk.p) if risk.p > 0 else u
        return [(path, a + (b - a) * u)]
    slots, path, tau = [], np.arange(n), np.full(n, float(a))
    for _ in range(risk.max_events if risk.rate > 0 else 0):
        tau = tau + rng.standard_exponential(path.size) * (12 / risk.rate)
        path, tau = path[tau < b], tau[tau < b]
        if not path.size:
            break
        slots.append((path, tau))
    return slots


def occurrences(risk, rng, copula, n, T):
    """All occurrences of a risk in the chunk as flat arrays: path, tau, S, D, m and the months they touch."""
    slots = starts(risk, rng, copula, n)
    union = len(slots) > 1 and (risk.deferred or risk.cost_per_month)
    seen = {"open_from": np.full(n, -np.inf), "answer_from": np.full(n, -np.inf)} if union else {}
    parts = []
    for number, (path, tau) in enumerate(slots):
        S = copula.draw(risk.severity, f"risks.{risk.name}.severity", number, path)
        D = np.maximum(T - tau, 0)
        if risk.duration is not None:
            D = copula.draw(risk.duration, f"risks.{risk.name}.duration", number, path)
        part = {"path": path, "tau": tau, "S": S, "D": D}
        if risk.answers:
            m = copula.draw(risk.effectiveness, f"risks.{risk.name}.response.effectiveness", number, path)
            part["m"] = np.where(S >= risk.trigger, m, 0.0)
        part["open_from"] = np.zeros(1)
        if risk.cost_per_month:
            part["answer_from"] = np.where(S >= risk.trigger, risk.lag, np.inf)
        if union:  # of overlapping intervals a later one counts only beyond the end of the earlier ones
            for key, end in seen.items():
                own = np.broadcast_to(part.get(key, np.inf), tau.shape)
                part[key] = np.maximum(own, end[path] - tau)
                end[path] = np.where(np.isfinite(own), np.maximum(end[path], tau + D), end[path])
        parts.append(part)
    keys = parts[0] if parts else ("path", "tau", "S", "D", "m")
    occ = SimpleNamespace(**{key: np.concatenate([p[key] for p in parts] or [np.zeros(0)]) for key in keys})
    occ.single = len(slots) <= 1
    occ.first = np.clip(np.floor(occ.tau), -1, T).astype(np.int8)
    end = occ.tau + (40 * occ.D if risk.decay else occ.D)  # e^-40 is below the rounding of any sum
    occ.last = np.clip(np.ceil(end) - 1, -1, T).astype(np.int8)
    occ.last[occ.D <= 0] = -2
    # hits are linear in severity unless the depth can reach 1 (or an exposure is negative): then one part a class
    x = risk.x
    if x.min() >= 0 and (not occ.S.size or x.max() * occ.S.max() <= 1):
        occ.parts = [(x, risk.classes, None)] if risk.classes else []
    else:
        occ.parts = [((x == value) * 1.0, [(1.0, streams)], value) for value, streams in risk.classes]
    occ.gains = x.min() < 0 or (risk.answers and occ.m.size > 0 and occ.m.max() > 1)
    return occ


def begin(model, rng, n):
    """State of a chunk before the first month, with all draws that are made once a path."""
    s, I, R, F = SimpleNamespace(n=n, rng=rng), len(model.streams), len(model.risks), len(model.funds)
    everyone, copula = np.arange(n), Copula(model.copula, rng, n)
    s.E = np.array([copula.draw(b.effectiveness, f"lines.{b.name}.effectiveness", 0, everyone) for b in model.working])
    s.E = s.E.reshape(-1, n)
    s.EU, s.A, s.corrective = s.E.copy(), [b.initial for b in model.working], {}
    s.begin = [go.start + copula.draw(go.slip, go.driver, 0, everyone) for go in model.launches]
    s.reached = [np.zeros(n) for _ in model.launches]
    s.occ = [occurrences(risk, rng, copula, n, model.T) for risk in model.risks]
    s.d = model.sd * rng.standard_normal(n) if model.sigma else np.zeros(n)
    s.N = np.repeat(np.array([c.count for c in model.customers], np.int64)[:, None], n, axis=1)
    s.N = s.N.reshape(-1, n)
    s.Y0, s.Y, s.keep, s.tmp = np.empty((I, n)), np.empty((I, n)), np.empty((I, n)), np.empty((I, n))
    s.own, s.one = np.zeros((I, n)), np.empty(n)
    s.backlog = {r: np.zeros((I, n)) for r, risk in enumerate(model.risks) if risk.deferred}
    s.balance = np.repeat(model.reserve[:, None], n, axis=1).reshape(F, n)
    s.acted = np.full((len(model.levels), n), -1, np.int16)
    s.cumulative, s.corrected = np.zeros(n), np.zeros(n)
    s.total = [[0.0, 0.0] for _ in model.targets]
    s.margin = [[0.0, 0.0] for _ in model.targets]
    s.kept = [[1.0, 1.0] for _ in model.targets]
    out = {"revenue": (), "gross_margin": (), "contribution": (), "incentive_cost": (), "revenue_deferred_out": ()}
    out |= {"monthly_revenue": (model.T,), "revenue_by_stream": (I,), "loss": (R,), "response_cost": (R,)}
    out |= {"fund_need": (F,), "lag": (model.T,)}
    s.out = {key: np.zeros((*shape, n)) for key, shape in out.items()}
    s.out["fund_balance"], s.out["fund_exhausted"] = s.balance, np.zeros((F, n), bool)
    s.out["customers"], s.out["status"] = s.N, np.zeros((model.T, n), np.int8)
    s.out["review_acted"] = np.zeros((len(model.levels), n), bool)
    s.out["target_met"] = np.zeros((len(model.targets) + 1, n), bool)
    return s


# ----------------------------------------------------------------------------------------------------------- the month


def spend(model, s, t):
    """3.1: 1 + lift by class of reach; only lines that got corrective money differ between paths."""
    weights = model.reach.T.copy()
    for b, line in enumerate(model.working):
        x = line.x[t] + s.corrective.pop(line.name, 0.0)
        s.A[b] = line.carryover * s.A[b] + (1 - line.carryover) * x
        U = response(line, s.A[b])
        if np.ndim(U):
            np.multiply(s.E[b], U, out=s.EU[b])
        else:
            weights[:, b] *= U
    s.corrective.clear()
    lift = weights @ s.EU
    lift += 1
    s.lift = np.maximum(lift, 0, out=lift)


def base_volume(model, s, t):
    """3.2: multiply Y0, which holds what all streams have alike, by lift, ramp and customers."""
    for i in model.baseline:
        s.Y0[i] *= s.lift[model.reach_class[i]]
    for k, go in enumerate(model.launches):
        if t + 1 <= go.start:
            s.Y0[go.i] = 0
            continue
        reached = ramp_integral(t + 1 - s.begin[k], go.ramp)
        s.Y0[go.i] *= reached - s.reached[k]
        s.Y0[go.i] *= s.lift[model.reach_class[go.i]]
        s.reached[k] = reached
    for k, c in enumerate(model.customers):
        s.Y0[c.i] *= s.N[k]


def demand_noise(model, s, t):
    """3.3: Y0 before lift, ramp and customers: base, level, demand and noise in one exponential."""
    if t and model.sigma:
        s.d *= model.persistence
        s.d += s.rng.standard_normal(out=s.one) * model.sigma
    common = s.rng.standard_normal(s.n) if model.vol_common.any() else np.zeros(s.n)
    loads = np.stack([model.beta, model.vol_common, model.log_base[t]], axis=1)
    np.matmul(loads, np.stack([s.d, common, np.ones(s.n)]), out=s.Y0)
    if model.vol.all():
        own = s.rng.standard_normal(out=s.own)
        own *= model.vol[:, None]
        s.Y0 += own
    else:
        for i in np.flatnonzero(model.vol):
            s.Y0[i] += model.vol[i] * s.rng.standard_normal(out=s.one)
    np.exp(s.Y0, out=s.Y0)


def counted(risk, x, D, wait):
    """o of a month that begins `x` after the start, counted from `wait` after the start on, with the buffer."""

    def integral(since):
        a, b = np.maximum(x, since), np.maximum(x + 1, since)
        if risk.decay:
            return D * (np.exp(a / -D) - np.exp(b / -D))
        return np.maximum(np.minimum(b, D) - a, 0)

    if not risk.share:
        return integral(wait)
    return (1 - risk.share) * integral(wait) + risk.share * integral(max(wait, risk.late))


def strikes(model, s, t):
    """3.4: what each risk's open occurrences do this month, as flat arrays over these occurrences."""
    out = []
    for r, risk in enumerate(model.risks):
        occ = s.occ[r]
        if risk.window[0] >= t + 1:
            continue
        sel = np.flatnonzero((occ.first <= t) & (occ.last >= t))
        if not sel.size:
            continue
        k = SimpleNamespace(r=r, risk=risk, occ=occ, path=occ.path[sel], S=occ.S[sel])
        x, D = t - occ.tau[sel], occ.D[sel]
        k.o = counted(risk, x, D, 0.0)
        if risk.answers:
            oR, m = counted(risk, x, D, risk.lag) if risk.lag else k.o, occ.m[sel]
            k.moR = m * oR
            k.woR = np.minimum(m, 1) * oR if occ.gains else k.moR
        stop = np.minimum(x + 1, D)
        if risk.deferred:
            begun = occ.open_from if occ.open_from.size == 1 else occ.open_from[sel]
            k.on = spread(k, np.maximum(stop - np.maximum(x, begun), 0), s.n)
        if risk.cost_per_month:
            k.busy = np.maximum(stop - np.maximum(x, occ.answer_from[sel]), 0)
        out.append(k)
    return out


def spread(k, values, n):
    """Sum of the occurrences' values by path."""
    if not k.occ.single:
        return np.bincount(k.path, values, n)
    out = np.zeros(n)
    out[k.path] = values
    return out


def depth(k, value):
    """min(1, exposure S) of one class, or S alone where the exposure is a factor of its own."""
    return k.S if value is None else np.minimum(1, value * k.S)


def cover(model, s, acts):
    """3.4: needs of the responses and what the funds pay; leaves in each strike `a`, the share that is paid."""
    weights = [w for k in acts if k.risk.cost_ratio for w, _, _ in k.occ.parts]
    stake = iter(np.array(weights) @ s.Y0 if weights else ())
    needs = {}
    for k in acts:
        k.a = None
        if not k.risk.answers:
            continue
        need = np.zeros(s.n)
        if k.risk.cost_ratio:
            for _, _, value in k.occ.parts:
                need += spread(k, depth(k, value) * k.woR * next(stake)[k.path], s.n)
            need *= k.risk.cost_ratio
            np.maximum(need, 0, out=need)
        if k.risk.cost_per_month:
            need += k.risk.cost_per_month * spread(k, k.busy, s.n)
        needs.setdefault(k.risk.fund, []).append((k, need))
    for f, drawn in needs.items():
        if f is not None:
            total = sum(need for _, need in drawn)
            short = np.flatnonzero(total > s.balance[f])
            a = np.ones(s.n)
            a[short] = s.balance[f, short] / total[short]
            s.out["fund_need"][f] += total
            s.out["fund_exhausted"][f, short] = True
            s.balance[f] -= total
            s.balance[f, short] = 0
        for k, need in drawn:
            if f is not None and short.size:
                k.a = a
                need *= a
            s.out["response_cost"][k.r] += need


def hit_rows(s, acts):
    """3.4: the hits as rows (strike, weights of the streams, classes) with values h: hit = weight * h."""
    rows, values = [], []
    for k in acts:
        net = k.o
        if k.risk.answers:
            net = k.o - (k.moR if k.a is None else k.a[k.path] * k.moR)
            if not k.occ.gains:
                np.maximum(net, 0, out=net)
        for weights, parts, value in k.occ.parts:
            h = spread(k, depth(k, value) * net, s.n)
            if not k.occ.single and weights.max() * h.max() > 1:  # overlapping occurrences: no more than all is lost
                for x, streams in parts:
                    rows.append((k, (weights == x) * 1.0, [(1.0, streams)]))
                    values.append(np.minimum(x * h, 1))
            else:
                rows.append((k, weights, parts))
                values.append(h)
        if k.risk.churn_multiplier:
            k.net = spread(k, k.S * net, s.n)
    return rows, values


def product(rows, values, out):
    """Product over the rows of 1 - weight * value, class by class."""
    out.fill(1)
    for (_, _, parts), h in zip(rows, values, strict=True):
        for x, streams in parts:
            factor = 1 - h if x == 1 else 1 - x * h
            for i in streams:
                out[i] *= factor
    return out


def hits(s, acts):
    """3.4: Y from Y0 and the month's hits, losses and gains attributed to risks; fills the losses to be deferred."""
    rows, values = hit_rows(s, acts)
    s.lost = {}
    if not rows:
        s.Y[:] = s.Y0
        return
    weights = np.array([w for _, w, _ in rows])
    gain = [j for j, (k, _, _) in enumerate(rows) if k.occ.gains and values[j].min() < 0]
    fall = {j: np.maximum(-values[j], 0) for j in gain}
    for j in gain:
        values[j] = np.maximum(values[j], 0)
    H = np.array(values)
    np.multiply(s.Y0, product(rows, values, s.keep), out=s.Y)
    ratio = np.subtract(s.Y0, s.Y, out=s.keep)
    ratio /= np.maximum(np.matmul(weights.T, H, out=s.tmp), 1e-300, out=s.tmp)
    H *= weights @ ratio
    for j, (k, w, parts) in enumerate(rows):
        s.out["loss"][k.r] += H[j]
        if k.risk.deferred:
            s.lost.setdefault(k.r, []).append((w, parts, values[j]))
    s.ratio = ratio
    if gain:  # few paths: worked on these alone
        paths = np.flatnonzero(np.any([fall[j] > 0 for j in gain], axis=0))
        some, G = [rows[j] for j in gain], np.array([fall[j][paths] for j in gain])
        left = s.Y[:, paths]
        won = left * (product(some, -G, np.empty_like(left)) - 1)
        s.Y[:, paths] = left + won
        G *= weights[gain] @ (won / np.maximum(weights[gain].T @ G, 1e-300))
        for (k, _, _), g in zip(some, G, strict=True):
            s.out["loss"][k.r, paths] -= g


def deferral(model, s, acts):
    """3.5: backlog that comes back now joins Y, then this month's deferred losses join the backlog."""
    on = {k.r: k.on for k in acts if k.risk.deferred}
    for r, backlog in s.backlog.items():
        risk = model.risks[r]
        if risk.release:
            free = risk.release * (1 - on[r]) if r in on else risk.release
            back = np.multiply(backlog, free, out=s.tmp)
            s.Y += back
            backlog -= back
            s.out["loss"][r] -= back.sum(axis=0)
        for _, parts, h in s.lost.get(r, ()):
            for x, streams in parts:
                share = (risk.deferred * x) * h
                for i in streams:
                    backlog[i] += share * s.ratio[i]


def customers(model, s, acts, t):
    """3.6: customers lost and won at the end of the month."""
    lost = np.zeros_like(s.N)
    after = []
    for k, c in enumerate(model.customers):
        extra = 0.0
        for act in acts:
            if act.risk.churn_multiplier and act.risk.clipped[c.i]:
                extra = extra + (act.risk.churn_multiplier * act.risk.clipped[c.i]) * act.net
        if c.churn:
            h = 1 - np.exp((np.log1p(-c.churn) * c.kept / 12) * (1 + np.maximum(extra, 0)))
            lost[k] = s.rng.binomial(s.N[k], h)
        won = s.rng.poisson(c.wins[t] * s.lift[model.reach_class[c.i]]) if c.wins[t] else 0
        after.append(s.N[k] - lost[k] + won)
    for g, target in enumerate(model.targets):
        if target.measure in ("retention", "customers") and t in target.months:
            for side, mask in enumerate(target.parts):
                ours = [k for k, c in enumerate(model.customers) if mask[c.i]]
                if target.measure == "customers":
                    s.total[g][side] = sum(after[k] for k in ours)
                else:
                    s.kept[g][side] = s.kept[g][side] * (1 - lost[ours].sum(0) / np.maximum(s.N[ours].sum(0), 1))
    for k, N in enumerate(after):
        s.N[k] = N


def money(model, s, acts, t):
    """3.8: revenue, gross margin and incentives of the month, and what the targets need of it."""
    fall = [(k.risk.clipped, k.risk.margin_loss * spread(k, k.S * k.o, s.n)) for k in acts if k.risk.margin_loss]

    def margin(mask):
        return (model.margin * mask) @ s.Y - sum(loss * ((clipped * mask) @ s.Y) for clipped, loss in fall)

    revenue = np.sum(s.Y, axis=0, out=s.out["monthly_revenue"][t])
    s.out["revenue_by_stream"] += s.Y
    s.out["gross_margin"] += margin(1.0)
    if model.tiers:
        attainment = revenue / model.plan[t] if model.plan[t] > 0 else np.full(s.n, np.inf)
        rate = np.zeros(s.n)
        for threshold, value in model.tiers:
            rate[attainment >= threshold - TOLERANCE] = value
        s.out["incentive_cost"] += rate * (revenue if model.paid.all() else model.paid @ s.Y)
    for g, target in enumerate(model.targets):
        if t in target.months:
            for side, mask in enumerate(target.parts):
                if target.measure in ("revenue", "margin_rate"):
                    s.total[g][side] = s.total[g][side] + (revenue if mask.all() else mask @ s.Y)
                if target.measure in ("gross_margin", "margin_rate"):
                    s.margin[g][side] = s.margin[g][side] + margin(mask)


def review(model, s, t):
    """3.7: lag and status; the highest level whose lag is exceeded acts, once a quarter, on next month's spend."""
    s.cumulative += s.out["monthly_revenue"][t]
    plan = model.plan[: t + 1].sum()
    lag = s.out["lag"][t]
    if plan > 0:
        np.subtract(1, s.cumulative / plan, out=lag)
    if not model.levels:
        return
    status = s.out["status"][t]
    status[lag >= model.levels[0]["lag"]] = YELLOW
    status[lag >= model.levels[-1]["lag"]] = RED
    if t + 1 == model.T:
        return
    above = np.zeros(s.n, bool)
    for j in reversed(range(len(model.levels))):
        level, beyond = model.levels[j], lag > model.levels[j]["lag"]
        act = np.flatnonzero(beyond & ~above & (s.acted[j] != model.quarter[t]))
        above |= beyond
        if not act.size:
            continue
        s.acted[j, act] = model.quarter[t]
        s.out["review_acted"][j, act] = True
        given, f = np.full(act.size, float(level["amount"])), level["fund"]
        if f is not None:
            s.out["fund_need"][f, act] += given
            s.out["fund_exhausted"][f, act] |= given > s.balance[f, act]
            given = np.minimum(given, s.balance[f, act])
            s.balance[f, act] -= given
        s.corrected[act] += given
        extra = s.corrective.setdefault(model.lines[level["line"]].name, np.zeros(s.n))
        extra[act] += given


def finish(model, s):
    """Figures of the horizon and the targets met."""
    out = s.out
    np.sum(out["monthly_revenue"], axis=0, out=out["revenue"])
    for backlog in s.backlog.values():
        out["revenue_deferred_out"] += backlog.sum(axis=0)
    spent = model.fixed_spend + s.corrected + out["response_cost"].sum(axis=0) + out["incentive_cost"]
    np.subtract(out["gross_margin"], spent, out=out["contribution"])
    out["target_met"][0] = out["revenue"] >= model.target * (1 - TOLERANCE)
    for g, target in enumerate(model.targets):
        if target.measure == "fund_left":
            sides = [s.balance[target.funds].sum(axis=0)]
        elif target.measure == "incentive_overrun":
            sides = [np.maximum(out["incentive_cost"] - model.pay_budget, 0)]
        elif target.measure == "margin_rate":
            sides = [np.divide(s.margin[g][j], np.maximum(s.total[g][j], 1e-300)) for j in range(len(target.parts))]
        else:
            source = {"gross_margin": s.margin, "retention": s.kept}.get(target.measure, s.total)
            sides = source[g][: len(target.parts)]
        value = sides[0] / np.maximum(sides[1], 1e-300) if len(sides) > 1 else sides[0]
        if target.low is not None:
            out["target_met"][g + 1] = value >= target.low - TOLERANCE * abs(target.low)
        else:
            out["target_met"][g + 1] = value <= target.high + TOLERANCE * abs(target.high)
    return out


def run_chunk(model, rng, n):
    """All months of `n` paths."""
    s = begin(model, rng, n)
    for t in range(model.T):
        spend(model, s, t)
        demand_noise(model, s, t)
        base_volume(model, s, t)
        acts = strikes(model, s, t)
        cover(model, s, acts)
        hits(s, acts)
        deferral(model, s, acts)
        customers(model, s, acts, t)
        money(model, s, acts, t)
        review(model, s, t)
    return finish(model, s)


def simulate(scenario: dict, paths: int, seed: int, chunk: int = 16384) -> dict[str, np.ndarray]:
    """Simulate one world.

    Parameters
    ----------
    scenario : dict
        A resolved scenario as nested dicts, every uncertain quantity a plain number (or ``{value, source, note}``).
    paths, seed : int
        Number of paths and seed of the generator.
    chunk : int
        Paths worked on at once; the arrays of a month should stay in the cache.

    Returns
    -------
    dict of numpy.ndarray
        Results with the paths last: ``revenue`` (n,), ``monthly_revenue`` (T, n), ``loss`` (risks, n), ...
    """
    model, rng = prepare(read(scenario)), np.random.Generator(np.random.SFC64(seed))
    out = {}
    for first in range(0, paths, chunk):
        n = min(chunk, paths - first)
        for key, value in run_chunk(model, rng, n).items():
            whole = out.setdefault(key, np.empty((*value.shape[:-1], paths), value.dtype))
            whole[..., first : first + n] = value
    return out
