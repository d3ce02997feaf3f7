"""The model a second time, in plain vectorised NumPy: the baseline of the speed benchmark and a check of the kernel.

Arrays run over the paths of a chunk; Python loops only over months, streams, risks and occurrences. Nothing is shared
with the engine: the scenario is read as ``tomllib`` gives it, draws come from ``numpy.random``, and every step of the
month is written down again from the equations. One scenario is one world: all uncertain quantities are plain numbers.
"""

from types import SimpleNamespace

import numpy as np
from scipy import special, stats

FAMILIES = ("uniform", "triangular", "pert", "normal", "lognormal", "beta")
GRID = np.linspace(-6.5, 6.5, 4097)  # standard normal scores at which quantile functions are tabled
TOLERANCE = 1e-9
GREEN, YELLOW, RED = 0, 1, 2


# ------------------------------------------------------------------------------------------------ reading the scenario


def plain(node):
    """Replace every ``{value, source, note}`` by its number."""
    if isinstance(node, dict):
        if "value" in node and set(node) <= {"value", "source", "note"}:
            return node["value"]
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list) else node


class Law:
    """A random field: a number, or a distribution drawn directly or, where correlated, through a standard normal."""

    def __init__(self, field):
        self.value = self.table = None
        if not isinstance(field, dict):
            self.value = float(field)
            return
        self.family = next(name for name in FAMILIES if name in field)
        self.par = [float(value) for value in field[self.family]]
        self.truncate = field.get("truncate")
        if self.family in ("uniform", "triangular", "pert") and self.par[0] == self.par[-1]:
            self.value = self.par[0]
        elif self.family == "pert":
            low, mode, high = self.par
            self.family = "beta"
            shape = [1 + 4 * (mode - low) / (high - low), 1 + 4 * (high - mode) / (high - low)]
            self.par = [*shape, low, high - low]
        elif self.family == "beta":
            self.par = [*self.par, 0.0, 1.0]
        elif self.family == "lognormal":
            median, p95 = self.par
            self.par = [np.log(median), np.log(p95 / median) / special.ndtri(0.95)]

    def draw(self, rng, size):
        """Draw `size` independent values."""
        if self.value is not None:
            return np.full(size, self.value)
        if self.truncate:
            return self.from_normal(rng.standard_normal(size))
        if self.family == "beta":
            a, b, low, width = self.par
            out = rng.beta(a, b, size)
            out *= width
            out += low
            return out
        return getattr(rng, self.family)(*self.par, size)

    def from_normal(self, z):
        """The values whose probabilities are those of the standard normal scores `z`."""
        if self.value is not None:
            return np.full(z.shape, self.value)
        if self.family in ("normal", "lognormal") and not self.truncate:
            value = self.par[0] + self.par[1] * z
            return np.exp(value) if self.family == "lognormal" else value
        if self.table is None:
            self.table = self.tabulate()
        return np.interp(z, GRID, self.table)

    def tabulate(self):
        """Quantiles at the scores of `GRID`, conditional on the interval of `truncate`."""
        par = self.par
        law = {
            "uniform": lambda: stats.uniform(par[0], par[1] - par[0]),
            "triangular": lambda: stats.triang((par[1] - par[0]) / (par[2] - par[0]), par[0], par[2] - par[0]),
            "normal": lambda: stats.norm(*par),
            "lognormal": lambda: stats.lognorm(par[1], scale=np.exp(par[0])),
            "beta": lambda: stats.beta(*par),
        }[self.family]()
        low, high = law.cdf(self.truncate) if self.truncate else (0.0, 1.0)
        return law.ppf(low + special.ndtr(GRID) * (high - low))


def specificity(selector, name, labels):
    """How closely a selector matches a stream: None not at all, 0 for ``*``, the number of pairs, inf for an id."""
    if selector == "*":
        return 0
    if selector == name:
        return np.inf
    pairs = [pair.split(":") for pair in selector.split("&")]
    return len(pairs) if all(len(pair) == 2 and labels.get(pair[0]) == pair[1] for pair in pairs) else None


def entries(table, labels):
    """The entry of each stream in a `reach` or `exposure` table, the most specific selector winning."""
    out = np.zeros(len(labels))
    for i, (name, own) in enumerate(labels.items()):
        found = [(rank, x) for key, x in table.items() if (rank := specificity(key, name, own)) is not None]
        best = [x for rank, x in found if rank == max(found)[0]]
        if len(best) > 1:
            raise ValueError(f"two selectors match {name} equally")
        out[i] = best[0] if best else 0.0
    return out


def chosen(selector, labels):
    """1 for the streams that a filter matches, else 0."""
    return np.array([float(specificity(selector, name, own) is not None) for name, own in labels.items()])


def classes(x):
    """The distinct non-zero entries of `x`, each with the streams that have it."""
    return [(value, np.flatnonzero(x == value)) for value in np.unique(x) if value != 0]


def read_risk(name, risk, labels, funds, T):
    """One risk with its defaults filled in."""
    answer, buffer, x = risk.get("response"), risk.get("buffer", {}), entries(risk.get("exposure", {"*": 1.0}), labels)
    out = SimpleNamespace(name=name, x=x, classes=classes(x), clipped=np.clip(x, 0, 1), answers=answer is not None)
    out.p, out.rate, out.max_events = risk.get("probability"), risk.get("rate"), int(risk.get("max_events", 6))
    out.hazard, out.decay = risk.get("timing") == "hazard", risk.get("shape") == "decay"
    out.window = risk.get("window", [0, T])
    out.severity = Law(risk["severity"])
    out.duration = None if risk["duration"] == "rest" else Law(risk["duration"])
    out.share, out.late = buffer.get("share", 0.0), buffer.get("days", 0.0) / 30
    if out.late == 0:
        out.share = 0.0
    out.deferred, out.release = risk.get("deferred", 0.0), risk.get("release", 1.0)
    out.margin_loss, out.churn_multiplier = risk.get("margin_loss", 0.0), risk.get("churn_multiplier", 0.0)
    answer = answer or {"effectiveness": 0.0}
    out.trigger, out.lag = answer.get("trigger", 0.0), answer.get("lag_days", 0.0) / 30
    out.effectiveness = Law(answer["effectiveness"])
    out.cost_ratio, out.cost_per_month = answer.get("cost_ratio", 0.0), answer.get("cost_per_month", 0.0)
    out.fund = funds.index(answer["fund"]) if "fund" in answer else None
    return out


def read_target(target, model):
    """A target as weights on the streams' revenue, with its months and bound."""
    out = SimpleNamespace(measure=target["measure"], parts=[])
    out.months = {m - 1 for m in target.get("months", range(1, model.T + 1))}
    out.low, out.high = target.get("at_least"), target.get("at_most")
    where = target.get("where", "*")
    if out.measure == "fund_left":
        out.funds = [f for f, name in enumerate(model.funds) if where in ("*", name)]
    elif out.measure != "incentive_overrun":
        out.parts = [chosen(selector, model.labels) for selector in (where, target.get("of")) if selector]
    return out


def read(scenario):
    """Compile a resolved scenario into arrays."""
    scenario = plain(scenario)
    plan, demand, streams = scenario["plan"], scenario.get("demand", {}), scenario["streams"]
    model = SimpleNamespace(T=int(plan.get("months", 12)), target=plan["target"])
    T = model.T
    first = int(plan["start"].split("-")[1]) - 1
    calendar = (first + np.arange(T)) % 12
    model.quarter = (first + np.arange(T)) // 3
    seasons = {key: np.array(s["weights"]) / np.mean(s["weights"]) for key, s in scenario.get("seasons", {}).items()}
    flat = np.ones(12)
    model.streams, model.labels = list(streams), {name: s.get("labels", {}) for name, s in streams.items()}
    model.margin = np.array([s["margin"] for s in streams.values()])

    # base volume: all that is the same on every path
    t = np.arange(T)
    model.base, model.launches, model.customers = np.zeros((T, len(streams))), [], []
    for i, (name, s) in enumerate(streams.items()):
        season, growth = seasons.get(s.get("season"), flat)[calendar], 1 + s.get("growth", 0.0)
        if "launch" in s:
            go = s["launch"]
            model.base[:, i] = go["peak"] * season
            slip = Law(go.get("slip", 0.0))
            launch = SimpleNamespace(i=i, start=go["start"], slip=slip, ramp=go.get("ramp", 0.0))
            launch.driver = f"streams.{name}.launch.slip"
            model.launches.append(launch)
        elif "customers" in s:
            c = s["customers"]
            model.base[:, i] = c["spend"] / 12 * season * growth ** ((t + 0.5) / 12)
            group = SimpleNamespace(
                i=i, count=round(c["count"]), churn=c.get("churn", 0.0), kept=1 - c.get("rescue", 0.0)
            )
            group.wins = np.array(c.get("wins", np.zeros(T)), float)
            model.customers.append(group)
        else:
            model.base[:, i] = s["baseline"] / 12 * season * growth ** ((t + 6.5) / 12)
    model.baseline = [i for i, s in enumerate(streams.values()) if "launch" not in s and "customers" not in s]

    # demand and noise
    model.persistence, model.sigma = demand.get("persistence", 0.0), demand.get("volatility", 0.0)
    model.sd = model.sigma / np.sqrt(1 - model.persistence**2)
    model.beta = np.array([s.get("demand_beta", 1.0) for s in streams.values()])
    vol = np.array([s.get("volatility", 0.0) for s in streams.values()])
    common = demand.get("noise_correlation", 0.0)
    model.vol, model.vol_common = vol * np.sqrt(1 - common), vol * np.sqrt(common)
    level = demand.get("level", 1.0) * np.exp(-((model.beta * model.sd) ** 2 + vol**2) / 2)
    model.log_base = np.log(np.maximum(model.base * level, 1e-300))

    # lines: spend, response, and the streams that share a reach
    lines = scenario.get("lines", {})
    model.lines = []
    for name, b in lines.items():
        phasing = b.get("phasing", "even")
        if isinstance(phasing, str):
            phasing = np.ones(T) if phasing == "even" else seasons[phasing][calendar]
        x = b["amount"] * np.asarray(phasing, float) / np.sum(phasing)
        line = SimpleNamespace(name=name, x=x, amount=b["amount"], response=b.get("response"))
        line.carryover, line.initial = b.get("carryover", 0.0), b.get("initial", 0.0)
        line.effectiveness, line.reach = Law(b.get("effectiveness", 1.0)), entries(b.get("reach", {}), model.labels)
        model.lines.append(line)
    model.working = [b for b in model.lines if b.response and b.reach.any()]
    reach = np.array([b.reach for b in model.working]).reshape(-1, len(streams))
    model.reach, model.reach_class = np.unique(reach, axis=1, return_inverse=True)
    model.reach_class = model.reach_class.ravel()

    # funds, review, risks, incentives, correlation, targets
    model.funds = list(scenario.get("funds", {}))
    model.reserve = np.array([fund["amount"] for fund in scenario.get("funds", {}).values()], float)
    names = [b.name for b in model.lines]
    model.levels = sorted(scenario.get("review", {}).get("levels", []), key=lambda level: level["lag"])
    for level in model.levels:
        level["line"] = names.index(level["line"])
        level["fund"] = model.funds.index(level["fund"]) if "fund" in level else None
    model.steered = {level["line"] for level in model.levels}
    model.risks = [read_risk(key, r, model.labels, model.funds, T) for key, r in scenario.get("risks", {}).items()]
    incentives = scenario.get("incentives")
    model.tiers = sorted(incentives["tiers"]) if incentives else []
    model.paid = chosen(incentives.get("streams", "*"), model.labels) if incentives else None
    pay = incentives.get("line") if incentives else None
    model.pay_budget = lines[pay]["amount"] if pay else 0.0
    model.fixed_spend = sum(b.amount for b in model.lines if b.name != pay)
    model.copula = read_correlation(scenario.get("correlation", {}))
    model.targets = [read_target(target, model) for target in scenario.get("targets", {}).values()]
    phasing = np.asarray(plan["phasing"], float) if "phasing" in plan else expected_path(model)
    model.plan = model.target * phasing / phasing.sum()
    model.sums = [month_sums(model, t) for t in range(T)]
    return model


def read_correlation(table):
    """Groups of correlated drivers, each with a factor of its normal correlation matrix."""
    pairs = {tuple(key.replace(" ", "").split("~")): 2 * np.sin(np.pi * rho / 6) for key, rho in table.items()}
    groups = {}
    for a, b in pairs:
        merged = groups.get(a, {a}) | groups.get(b, {b})
        groups.update(dict.fromkeys(merged, frozenset(merged)))
    out = {}
    for group in set(map(frozenset, groups.values())):
        members = sorted(group)
        matrix = np.eye(len(members))
        for (a, b), rho in pairs.items():
            if a in group:
                i, j = members.index(a), members.index(b)
                matrix[i, j] = matrix[j, i] = rho
        values, vectors = np.linalg.eigh(matrix)
        if values[0] < -TOLERANCE:
            raise ValueError(f"correlations do not fit together: {', '.join(members)}")
        factor = vectors * np.sqrt(np.maximum(values, 0))
        out.update({name: (members, factor, i) for i, name in enumerate(members)})
    return out


def expected_path(model):
    """Revenue by month with E = 1, no slip, expected customers, no risk and no noise."""
    state = SimpleNamespace(A=[b.initial for b in model.working])
    N, reached = [float(c.count) for c in model.customers], [0.0] * len(model.launches)
    out = np.zeros(model.T)
    for t in range(model.T):
        lift = 1 + lifts_at_plan(model, state, t)
        out[t] = model.base[t, model.baseline] @ lift[model.baseline]
        for k, go in enumerate(model.launches):
            now = ramp_integral(t + 1 - go.start, go.ramp)
            out[t] += model.base[t, go.i] * lift[go.i] * (now - reached[k])
            reached[k] = now
        for k, c in enumerate(model.customers):
            out[t] += model.base[t, c.i] * N[k]
            N[k] = N[k] * (1 - c.churn) ** (c.kept / 12) + c.wins[t] * lift[c.i]
    return out


def lifts_at_plan(model, state, t):
    """Lift of each stream at the lines' own amounts and E = 1."""
    U = np.zeros(len(model.working))
    for b, line in enumerate(model.working):
        state.A[b] = line.carryover * state.A[b] + (1 - line.carryover) * line.x[t]
        U[b] = response(line, state.A[b])
    return np.maximum(-1, (U @ model.reach)[model.reach_class])


def month_sums(model, t):
    """The weighted sums of Y that a month's books and targets need: weights (sums, streams) and where each one is."""
    rows, where = [np.ones(len(model.streams))], {}

    def ask(key, weights):
        where[key] = next((j for j, row in enumerate(rows) if np.array_equal(row, weights)), len(rows))
        if where[key] == len(rows):
            rows.append(weights)

    def ask_margin(key, mask):
        ask((key, "margin"), model.margin * mask)
        for r, risk in enumerate(model.risks):
            if risk.margin_loss:
                ask((key, r), risk.clipped * mask)

    ask_margin("all", np.ones(len(model.streams)))
    if model.tiers:
        ask("paid", model.paid)
    for g, target in enumerate(model.targets):
        if t in target.months:
            for side, mask in enumerate(target.parts):
                if target.measure in ("revenue", "margin_rate"):
                    ask((g, side), mask)
                if target.measure in ("gross_margin", "margin_rate"):
                    ask_margin((g, side), mask)
    return np.array(rows), where


# ------------------------------------------------------------------------------------------------- draws before January


class Copula:
    """Correlated standard normals by driver and occurrence number, drawn when first asked for."""

    def __init__(self, groups, rng, n):
        self.groups, self.rng, self.n, self.drawn = groups, rng, n, {}

    def draw(self, law, driver, number, path):
        """Values of a random field on the paths `path`."""
        if driver not in self.groups:
            return law.draw(self.rng, path.size)
        z = self.normal(driver, number)
        return law.from_normal(z if path.size == self.n else z[path])

    def normal(self, driver, number):
        """The scores of one driver on all paths."""
        members, factor, i = self.groups[driver]
        if (members[0], number) not in self.drawn:
            self.drawn[members[0], number] = factor @ self.rng.standard_normal((len(members), self.n))
        return self.drawn[members[0], number][i]


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
    s.out["review_acted"] = np.zeros((len(model.levels), n), np.int16)
    s.out["target_met"] = np.zeros((len(model.targets) + 1, n), bool)
    return s


# ----------------------------------------------------------------------------------------------------------- the month


def response(line, A):
    """U of the effective spend `A`."""
    kind, ceiling, scale = line.response["kind"], line.response["ceiling"], line.response["scale"]
    if kind == "exponential":
        return ceiling * (1 - np.exp(-A / scale))
    power = np.power(A / scale, line.response["slope"])
    return ceiling * power / (1 + power)


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


def ramp_integral(x, ramp):
    """Integral of 1 - exp(-u/ramp) over u from 0 to x, 0 for x < 0."""
    x = np.maximum(x, 0.0)
    return x - ramp * (1 - np.exp(x / -ramp)) if ramp > 0 else x


def base_volume(model, s, t):
    """3.2: multiply Y0, which holds what all streams have alike, by lift, ramp and customers."""
    for i in model.baseline:
        s.Y0[i] *= s.lift[model.reach_class[i]]
    for k, go in enumerate(model.launches):
        if t + 1 <= go.start:
            s.Y0[go.i] = 0
            continue
        reached = ramp_integral(t + 1 - s.begin[k], go.ramp)
        s.reached[k] = np.subtract(reached, s.reached[k], out=s.reached[k])
        s.Y0[go.i] *= s.reached[k]
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
    weights, where = model.sums[t]
    sums = weights @ s.Y
    fall = [(k, k.risk.margin_loss * spread(k, k.S * k.o, s.n)) for k in acts if k.risk.margin_loss]

    def margin(key):
        return sums[where[key, "margin"]] - sum(loss * sums[where[key, k.r]] for k, loss in fall)

    revenue = sums[0]
    s.out["monthly_revenue"][t] = revenue
    s.out["revenue_by_stream"] += s.Y
    s.out["gross_margin"] += margin("all")
    if model.tiers:
        attainment = revenue / model.plan[t] if model.plan[t] > 0 else np.full(s.n, np.inf)
        rate = np.zeros(s.n)
        for threshold, value in model.tiers:
            rate[attainment >= threshold - TOLERANCE] = value
        s.out["incentive_cost"] += rate * sums[where["paid"]]
    for g, target in enumerate(model.targets):
        if t in target.months:
            for side in range(len(target.parts)):
                if target.measure in ("revenue", "margin_rate"):
                    s.total[g][side] = s.total[g][side] + sums[where[g, side]]
                if target.measure in ("gross_margin", "margin_rate"):
                    s.margin[g][side] = s.margin[g][side] + margin((g, side))


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
        s.out["review_acted"][j, act] += 1
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


def simulate(scenario, paths, seed, chunk=8192):
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
    model, rng = read(scenario), np.random.Generator(np.random.SFC64(seed))
    out = {}
    for first in range(0, paths, chunk):
        n = min(chunk, paths - first)
        for key, value in run_chunk(model, rng, n).items():
            whole = out.setdefault(key, np.empty((*value.shape[:-1], paths), value.dtype))
            whole[..., first : first + n] = value
    return out
