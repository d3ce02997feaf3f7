"""What both NumPy versions of the model share: a scenario read into numbers, and the laws of its random fields.

Nothing is shared with the engine: the scenario is read as ``tomllib`` gives it, and every rule of reading is written
down again from the text of the model. One scenario is one world: all uncertain quantities are plain numbers.
"""

from types import SimpleNamespace

import numpy as np
from scipy import special, stats

FAMILIES = ("uniform", "triangular", "pert", "normal", "lognormal", "beta")
GRID = np.linspace(-6.5, 6.5, 4097)  # standard normal scores at which quantile functions are tabled
TOLERANCE = 1e-9


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
        self.value, self.table = (None, None) if isinstance(field, dict) else (float(field), None)
        if self.value is not None:
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
            return low + width * rng.beta(a, b, size)
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
            launch = SimpleNamespace(i=i, start=go["start"], ramp=go.get("ramp", 0.0))
            launch.slip, launch.driver = Law(go.get("slip", 0.0)), f"streams.{name}.launch.slip"
            model.launches.append(launch)
        elif "customers" in s:
            c = s["customers"]
            model.base[:, i] = c["spend"] / 12 * season * growth ** ((t + 0.5) / 12)
            group = SimpleNamespace(i=i, count=round(c["count"]), churn=c.get("churn", 0.0))
            group.kept, group.wins = 1 - c.get("rescue", 0.0), np.array(c.get("wins", np.zeros(T)), float)
            model.customers.append(group)
        else:
            model.base[:, i] = s["baseline"] / 12 * season * growth ** ((t + 6.5) / 12)
    model.baseline = [i for i, s in enumerate(streams.values()) if "launch" not in s and "customers" not in s]

    # demand and noise
    model.persistence, model.sigma = demand.get("persistence", 0.0), demand.get("volatility", 0.0)
    model.sd = model.sigma / np.sqrt(1 - model.persistence**2)
    model.beta = np.array([s.get("demand_beta", 1.0) for s in streams.values()])
    model.vol = np.array([s.get("volatility", 0.0) for s in streams.values()])
    model.level, model.common = demand.get("level", 1.0), demand.get("noise_correlation", 0.0)

    # lines: spend and response
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
    model.reach = np.array([b.reach for b in model.working]).reshape(-1, len(streams))

    # funds, review, risks, incentives, correlation, targets
    model.funds = list(scenario.get("funds", {}))
    model.reserve = np.array([fund["amount"] for fund in scenario.get("funds", {}).values()], float)
    names = [b.name for b in model.lines]
    model.levels = sorted(scenario.get("review", {}).get("levels", []), key=lambda level: level["lag"])
    for level in model.levels:
        level["line"] = names.index(level["line"])
        level["fund"] = model.funds.index(level["fund"]) if "fund" in level else None
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


def response(line, A):
    """U of the effective spend `A`."""
    kind, ceiling, scale = line.response["kind"], line.response["ceiling"], line.response["scale"]
    if kind == "exponential":
        return ceiling * (1 - np.exp(-A / scale))
    power = np.power(A / scale, line.response["slope"])
    return ceiling * power / (1 + power)


def ramp_integral(x, ramp):
    """Integral of 1 - exp(-u/ramp) over u from 0 to x, 0 for x < 0."""
    x = np.maximum(x, 0.0)
    return x - ramp * (1 - np.exp(x / -ramp)) if ramp > 0 else x


def expected_path(model):
    """Revenue by month with E = 1, no slip, expected customers, no risk and no noise."""
    A, U = np.array([b.initial for b in model.working], float), np.zeros(len(model.working))
    N, reached, out = [float(c.count) for c in model.customers], [0.0] * len(model.launches), np.zeros(model.T)
    for t in range(model.T):
        for b, line in enumerate(model.working):
            A[b] = line.carryover * A[b] + (1 - line.carryover) * line.x[t]
            U[b] = response(line, A[b])
        lift = np.maximum(0, 1 + U @ model.reach)
        out[t] = model.base[t, model.baseline] @ lift[model.baseline]
        for k, go in enumerate(model.launches):
            now = ramp_integral(t + 1 - go.start, go.ramp)
            out[t] += model.base[t, go.i] * lift[go.i] * (now - reached[k])
            reached[k] = now
        for k, c in enumerate(model.customers):
            out[t] += model.base[t, c.i] * N[k]
            N[k] = N[k] * (1 - c.churn) ** (c.kept / 12) + c.wins[t] * lift[c.i]
    return out
