"""The independent slow twin: one simulated path in plain Python, written from the text of design/model.md alone.

It shares nothing with the engine but the addresses of its draws, so that path p here and path p there see the same luck
and must agree. Small functions in the order of section 3, with the letters of the text: month t, stream i, line b,
risk r, fund f, occurrence k. Nothing is checked: scenarios are valid and resolved, uncertain quantities plain numbers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from scipy import interpolate, optimize, special, stats

Table = dict[str, Any]  # a TOML table
ByStream = dict[str, float]

# Round multipliers and Weyl increments of Philox 4x by word width (Salmon et al., 2011; 64 bits as in NumPy).
PHILOX = {
    32: ((0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)),
    64: ((0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)),
}
ALMOST = 1e-9  # how far below its bound a tier or a target may end and still count


# ---------------------------------------------------------------------------------- 4 randomness


def philox4x(counter: tuple[int, int, int, int], key: tuple[int, int], width: int = 32) -> tuple[int, ...]:
    """Four random words of `width` bits that belong to a counter and a key: Philox 4x with ten rounds."""
    (m0, m1), (weyl0, weyl1) = PHILOX[width]
    mask = (1 << width) - 1
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = m0 * c0, m1 * c2
        c0, c1, c2, c3 = (right >> width) ^ c1 ^ k0, right & mask, (left >> width) ^ c3 ^ k1, left & mask
        k0, k1 = (k0 + weyl0) & mask, (k1 + weyl1) & mask
    return c0, c1, c2, c3


@cache
def driver_number(name: str) -> int:
    """A driver's 32-bit number, a stable hash of its dotted name."""
    return int.from_bytes(hashlib.blake2s(name.encode(), digest_size=4).digest(), "little")


def uniform(seed: int, stream: int, path: int, driver_name: str, index: int, slot: int) -> float:
    """The uniform in (0, 1) at an address; `index` counts blocks of four slots."""
    counter = (path, stream, driver_number(driver_name), index)
    words = philox4x(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    return (words[slot] + 0.5) / 2**32


# Where a risk's own driver keeps its draws; slot 4 and above lie in the block after, as index 2k + slot // 4.
SLOTS = {"occurs": 0, "start": 1, "severity": 2, "duration": 3, "response.effectiveness": 4}


@dataclass
class Draws:
    """All uniforms of one path; those of correlated drivers pass through the Gaussian copula."""

    correlation: Table
    seed: int
    stream: int
    path: int
    groups: dict[int, dict[str, float]] = field(default_factory=dict)

    def own(self, driver: str, index: int, slot: int) -> float:
        return uniform(self.seed, self.stream, self.path, driver, index, slot)

    def monthly(self, driver: str, t: int) -> float:
        return self.own(driver, t // 4, t % 4)

    def once(self, name: str, k: int = 0) -> float:
        """The uniform of a driver that is drawn once an occurrence (lines and launches: k = 0)."""
        if k not in self.groups:
            self.groups[k] = self.copula(k)
        return self.groups[k][name] if name in self.groups[k] else self.address(name, k)

    def address(self, name: str, k: int) -> float:
        kind, item, *rest = name.split(".")
        slot = SLOTS[".".join(rest)] if kind == "risks" else 0
        return self.own(f"risks.{item}" if kind == "risks" else name, 2 * k + slot // 4, slot % 4)

    def copula(self, k: int) -> dict[str, float]:
        """Correlated uniforms u' of occurrence k, for the drivers named in [correlation], in the order of names."""
        pairs = {}
        for pair, rho in self.correlation.items():
            first, second = (name.strip() for name in pair.split("~"))
            if path_level(first) and path_level(second):  # pairs of uncertain knobs were used when the world was drawn
                pairs[first, second] = pairs[second, first] = 2 * math.sin(math.pi * number(rho) / 6)
        names = sorted({name for pair in pairs for name in pair})
        L = cholesky([[1.0 if a == b else pairs.get((a, b), 0.0) for b in names] for a in names])
        z = [float(special.ndtri(self.address(name, k))) for name in names]
        return {name: float(special.ndtr(sum(L[j][n] * z[n] for n in range(j + 1)))) for j, name in enumerate(names)}


def path_level(name: str) -> bool:
    """Whether a name in [correlation] can be a driver of paths."""
    kind, _, *rest = name.split(".")
    what = ".".join(rest)
    return {
        "risks": what in ("occurs", "severity", "duration", "response.effectiveness"),
        "lines": what == "effectiveness",
        "streams": what == "launch.slip",
    }.get(kind, False)


def cholesky(matrix: list[list[float]]) -> list[list[float]]:
    """Lower factor of a positive semi-definite matrix; a zero pivot (rank correlation 1) leaves a column of zeros."""
    n = len(matrix)
    L = [[0.0] * n for _ in range(n)]
    for j in range(n):
        pivot = matrix[j][j] - sum(L[j][c] ** 2 for c in range(j))
        if pivot > 1e-12:
            L[j][j] = math.sqrt(pivot)
            for row in range(j + 1, n):
                L[row][j] = (matrix[row][j] - sum(L[row][c] * L[j][c] for c in range(j))) / L[j][j]
    return L


# ---------------------------------------------------------------------------------- 2 quantities and selectors


def number(quantity: Any) -> float:
    """A quantity's plain number, bare or with its source."""
    return float(quantity["value"] if isinstance(quantity, dict) else quantity)


def drawn(quantity: Any, u: float) -> float:
    """The value of a random field: its number, or its distribution's quantile at u."""
    if not isinstance(quantity, dict) or "value" in quantity:
        return number(quantity)
    low, high = (number(bound) for bound in quantity.get("truncate", (-math.inf, math.inf)))
    if "samples" in quantity:
        values = sorted(x for x in map(number, quantity["samples"]) if low <= x <= high)
        return values[min(max(math.ceil(len(values) * u), 1), len(values)) - 1]
    if "quantiles" in quantity:
        return from_quantiles(quantity["quantiles"], u, low, high)
    law, parameters, is_point = family(quantity)
    if is_point:
        return parameters[-2]
    if "truncate" in quantity:
        below, above = (float(law.cdf(bound, *parameters)) for bound in (low, high))
        u = below + (above - below) * u
    return float(law.ppf(u, *parameters))


def family(table: Table) -> tuple[Any, tuple[float, ...], bool]:
    """The scipy law of a distribution, its parameters (location and scale last), and whether all mass is at one point.

    Where it is, the value stands in the location's place.
    """
    name = next(key for key in ("uniform", "triangular", "pert", "normal", "lognormal", "beta") if key in table)
    p = [number(parameter) for parameter in table[name]]
    if name == "normal":
        return stats.norm, (p[0], p[1]), p[1] == 0
    if name == "lognormal":  # [median, p95]
        sigma = math.log(p[1] / p[0]) / float(special.ndtri(0.95))
        return (stats.lognorm, (sigma, 0.0, p[0]), False) if sigma > 0 else (stats.norm, (p[0], 0.0), True)
    if name == "beta":
        return stats.beta, (p[0], p[1], 0.0, 1.0), False
    a, b = p[0], p[-1]
    if a == b or name == "uniform":
        return stats.uniform, (a, b - a), a == b
    mode = (p[1] - a) / (b - a)
    if name == "triangular":
        return stats.triang, (mode, a, b - a), False
    return stats.beta, (1 + 4 * mode, 1 + 4 * (1 - mode), a, b - a), False


def from_quantiles(table: Table, u: float, low: float, high: float) -> float:
    """Quantile function through given points, shape-preserving in p, conditioned on [low, high]."""
    points = {0.0: number(table["low"]), 1.0: number(table["high"])}
    points |= {float(p): number(x) for p, x in table.items() if p not in ("low", "high")}
    Q = interpolate.PchipInterpolator(sorted(points), [points[p] for p in sorted(points)])

    def F(x: float) -> float:
        if x <= points[0.0] or x >= points[1.0]:
            return float(x >= points[1.0])
        return float(optimize.brentq(lambda p: float(Q(p)) - x, 0, 1, xtol=1e-15))

    return float(Q(F(low) + (F(high) - F(low)) * u))


def specificity(selector: str, i: str, stream: Table) -> float:
    """How specifically a selector names stream i: its pairs, infinite for the id, 0 for `*`, -1 for no match."""
    if selector == "*" or selector == i:
        return 0 if selector == "*" else math.inf
    pairs = [pair.partition(":") for pair in selector.split("&")]
    labels = stream.get("labels", {})
    return len(pairs) if all(colon and labels.get(label) == value for label, colon, value in pairs) else -1


def chosen(table: Table, i: str, stream: Table) -> float:
    """The number that a table of selectors (reach, exposure) gives to stream i: the most specific match's, else 0."""
    ranked = {selector: specificity(selector, i, stream) for selector in table}
    best = max(ranked.values(), default=-1)
    return number(table[max(ranked, key=lambda selector: ranked[selector])]) if best >= 0 else 0.0


def matching(scenario: Table, selector: str) -> list[str]:
    return [i for i, stream in scenario["streams"].items() if specificity(selector, i, stream) >= 0]


def months_of(scenario: Table) -> int:
    return int(number(scenario["plan"].get("months", 12)))


def calendar_month(scenario: Table, t: int) -> int:
    """Months from January of year 0 to plan month t."""
    year, month = str(scenario["plan"].get("start", "2024-01")).split("-")[:2]
    return 12 * int(year) + int(month) - 1 + t


def season(scenario: Table, name: str | None, t: int) -> float:
    """The season's weight of month t, of mean 1 over January to December; a flat season where none is named."""
    if name is None:
        return 1.0
    weights = [number(weight) for weight in scenario["seasons"][name]["weights"]]
    return weights[calendar_month(scenario, t) % 12] * 12 / sum(weights)


# ---------------------------------------------------------------------------------- 3.1 spend


def phasing(scenario: Table, line: Table) -> list[float]:
    """A line's share of its amount by month: even, a season's, or weights; of sum 1."""
    given, T = line.get("phasing", "even"), months_of(scenario)
    if isinstance(given, list):
        weights = [number(weight) for weight in given]
    else:
        weights = [season(scenario, None if given == "even" else given, t) for t in range(T)]
    return [weight / sum(weights) for weight in weights]


def adstock(scenario: Table, t: int, before: ByStream, corrective: ByStream) -> dict[str, float]:
    """A_{b,t}: effective spend of month t from last month's and x_{b,t}, plan money and corrective money alike."""
    A = {}
    for b, line in scenario.get("lines", {}).items():
        x = number(line.get("amount", 0)) * phasing(scenario, line)[t] + corrective.get(b, 0.0)
        carryover = number(line.get("carryover", 0))
        A[b] = carryover * before[b] + (1 - carryover) * x
    return A


def response(line: Table, A: float) -> float:
    """U_{b,t}: the lift that effective spend buys before reach and effectiveness; none without spend or a response."""
    curve = line.get("response")
    if curve is None or A <= 0:
        return 0.0
    ceiling, scale = number(curve["ceiling"]), number(curve["scale"])
    if curve["kind"] == "hill":
        return ceiling / (1 + (scale / A) ** number(curve["slope"]))
    return ceiling * (1 - math.exp(-A / scale))


def lifts(scenario: Table, A: dict[str, float], E: dict[str, float]) -> ByStream:
    """lift_{i,t}, never below -1."""
    lines = scenario.get("lines", {})
    U = {b: response(line, A[b]) for b, line in lines.items()}
    return {
        i: max(-1.0, sum(chosen(line.get("reach", {}), i, stream) * E[b] * U[b] for b, line in lines.items()))
        for i, stream in scenario["streams"].items()
    }


# ---------------------------------------------------------------------------------- 3.2 base volume


def base_volume(scenario: Table, stream: Table, t: int, lift: float, slip: float, N: float) -> float:
    """V_{i,t} of a baseline, launch or customers stream."""
    s = season(scenario, stream.get("season"), t)
    growth = 1 + number(stream.get("growth", 0))
    if "baseline" in stream:
        return number(stream["baseline"]) / 12 * s * growth ** ((t + 6.5) / 12) * (1 + lift)
    if "launch" in stream:
        return number(stream["launch"]["peak"]) * s * established(stream["launch"], slip, t) * (1 + lift)
    return N * number(stream["customers"]["spend"]) / 12 * s * growth ** ((t + 0.5) / 12)


def established(launch: Table, slip: float, t: int) -> float:
    """G_t: the mean over month t of 1 - exp(-(u - start - slip) / ramp) once launched, 0 before."""
    begin = number(launch.get("start", 0)) + slip
    ramp = number(launch.get("ramp", 0))
    low = max(float(t), begin)
    if low >= t + 1:
        return 0.0
    missing = ramp * (math.exp(-(low - begin) / ramp) - math.exp(-(t + 1 - begin) / ramp)) if ramp > 0 else 0.0
    return t + 1 - low - missing


def plan_path(scenario: Table, central: Table) -> list[float]:
    """The plan's revenue by month: the target over plan.phasing or, without it, over the central world's own path.

    That path has E = 1, slip 0, expected customers, no risk and no noise; level falls out in the normalisation.
    """
    T = months_of(scenario)
    weights = [number(weight) for weight in scenario["plan"].get("phasing", [])]
    if not weights:
        A = {b: number(line.get("initial", 0)) for b, line in central.get("lines", {}).items()}
        N: ByStream = dict(first_customers(central))
        for t in range(T):
            A = adstock(central, t, A, {})
            lift = lifts(central, A, dict.fromkeys(A, 1.0))
            weights.append(
                sum(base_volume(central, s, t, lift[i], 0.0, N.get(i, 0)) for i, s in central["streams"].items())
            )
            for i in N:
                h, won = churn_chance(central["streams"][i], 0.0), wins(central["streams"][i], t, lift[i])
                N[i] += won - N[i] * h
    return [number(scenario["plan"]["target"]) * weight / sum(weights) for weight in weights]


# ---------------------------------------------------------------------------------- 3.3 demand and noise


def demand_and_noise(scenario: Table, draws: Draws) -> list[ByStream]:
    """The factor of each month and stream between V and Y0: level, demand and the stream's noise."""
    demand = scenario.get("demand", {})
    level = number(demand.get("level", 1))
    sd, persistence = number(demand.get("volatility", 0)), number(demand.get("persistence", 0))
    c = number(demand.get("noise_correlation", 0))
    variance = sd**2 / (1 - persistence**2)

    def normal(driver: str, t: int) -> float:
        return float(special.ndtri(draws.monthly(driver, t)))

    factors: list[ByStream] = []
    d = 0.0
    for t in range(months_of(scenario)):
        # the stationary law at the start, the recursion from then on
        d = math.sqrt(variance) * normal("demand", 0) if t == 0 else persistence * d + sd * normal("demand", t)
        factors.append({})
        for i, stream in scenario["streams"].items():
            beta, vol = number(stream.get("demand_beta", 1)), number(stream.get("volatility", 0))
            z = math.sqrt(c) * normal("noise", t) + math.sqrt(1 - c) * normal(f"streams.{i}.noise", t)
            factors[t][i] = level * math.exp(beta * d - beta**2 * variance / 2) * math.exp(vol * z - vol**2 / 2)
    return factors


# ---------------------------------------------------------------------------------- 3.4 risks


@dataclass(frozen=True)
class Occurrence:
    """One strike: start tau, severity S, duration D and effectiveness m of the response (0 where it does not act)."""

    tau: float
    S: float
    D: float
    m: float
    responds: bool


@dataclass(frozen=True)
class Share:
    """What month t sees of an occurrence: o_k and oR_k."""

    S: float
    m: float
    o: float
    oR: float

    def left(self, a: float) -> float:
        """The occurrence's weight in the month after a response that is covered to the share a."""
        return self.o - a * self.m * self.oR


def starts(risk: Table, r: str, T: int, draws: Draws) -> list[float]:
    """The starts tau_k of a risk's occurrences, in time order."""
    begin, end = (number(edge) for edge in risk.get("window", (0, T)))
    if "rate" in risk:
        found: list[float] = []
        tau, a_month = begin, number(risk["rate"]) / 12
        while a_month > 0 and len(found) < int(number(risk.get("max_events", 6))):
            tau -= math.log1p(-draws.once(f"risks.{r}.start", len(found))) / a_month
            if tau >= end:
                break
            found.append(tau)
        return found
    p = number(risk["probability"])
    if draws.once(f"risks.{r}.occurs") < 1 - p:
        return []
    u = draws.once(f"risks.{r}.start")
    if risk.get("timing", "uniform") == "hazard" and end > begin:
        hazard = -math.log1p(-p) / (end - begin)
        return [begin - math.log1p(-p * u) / hazard]
    return [begin + (end - begin) * u]


def occurrences(risk: Table, r: str, T: int, draws: Draws) -> list[Occurrence]:
    """All strikes of a risk on the path."""
    found = []
    answer = risk.get("response")
    for k, tau in enumerate(starts(risk, r, T, draws)):
        S = drawn(risk["severity"], draws.once(f"risks.{r}.severity", k))
        rest = risk["duration"] == "rest"
        D = max(0.0, T - tau) if rest else drawn(risk["duration"], draws.once(f"risks.{r}.duration", k))
        responds = answer is not None and number(answer.get("trigger", 0)) <= S
        m = 0.0
        if answer is not None and responds:
            m = drawn(answer["effectiveness"], draws.once(f"risks.{r}.response.effectiveness", k))
        found.append(Occurrence(tau, S, D, m, responds))
    return found


def shape_integral(risk: Table, occurrence: Occurrence, begin: float, t: int) -> float:
    """The integral over month t of the shape from `begin` on, which is never before tau."""
    tau, D = occurrence.tau, occurrence.D
    low, high = max(float(t), begin), t + 1.0
    if risk.get("shape", "step") == "step":
        return max(0.0, min(high, tau + D) - low)
    if D == 0 or low >= high:
        return 0.0
    return D * (math.exp(-(low - tau) / D) - math.exp(-(high - tau) / D))  # runs on beyond tau + D


def strength(risk: Table, occurrence: Occurrence, delay: float, t: int) -> float:
    """The occurrence's weight in month t from tau + delay on; the buffered share also waits for the buffer's end."""
    buffer = risk.get("buffer", {})
    share, wait = number(buffer.get("share", 0)), number(buffer.get("days", 0)) / 30
    at_once = shape_integral(risk, occurrence, occurrence.tau + delay, t)
    late = shape_integral(risk, occurrence, occurrence.tau + max(delay, wait), t)
    return (1 - share) * at_once + share * late


def lag_of(risk: Table) -> float:
    """The response's lag in months."""
    return number(risk.get("response", {}).get("lag_days", 0)) / 30


def month_shares(risk: Table, strikes: list[Occurrence], t: int) -> list[Share]:
    """o_k and oR_k of every occurrence k of a risk."""
    return [
        Share(
            S=strike.S,
            m=strike.m,
            o=strength(risk, strike, 0.0, t),
            oR=strength(risk, strike, lag_of(risk), t) if strike.responds else 0.0,
        )
        for strike in strikes
    ]


def union_share(intervals: list[tuple[float, float]], t: int) -> float:
    """The share of month t inside the union of intervals; one that ends before it begins is empty."""
    share, reached = 0.0, float(t)
    for begin, end in sorted(intervals):
        begin, end = max(begin, reached), min(end, t + 1.0)
        if end > begin:
            share, reached = share + end - begin, end
    return share


def need_of(
    risk: Table, strikes: list[Occurrence], shares: list[Share], exposure: ByStream, Y0: ByStream, t: int
) -> float:
    """need_{r,t}: what a full response costs in month t; 0 without one."""
    answer = risk.get("response")
    if answer is None:
        return 0.0
    at_stake = sum(
        Y0[i] * min(1.0, exposure[i] * share.S) * share.oR * min(share.m, 1.0) for share in shares for i in Y0
    )
    working = union_share([(k.tau + lag_of(risk), k.tau + k.D) for k in strikes if k.responds], t)
    return max(0.0, number(answer.get("cost_ratio", 0)) * at_stake) + number(answer.get("cost_per_month", 0)) * working


def cover(scenario: Table, need: dict[str, float], balance: dict[str, float]) -> dict[str, float]:
    """a by risk: the share of needs that its fund can pay, the same for all risks of the fund; 1 without a fund."""
    a = {}
    for r, risk in scenario.get("risks", {}).items():
        f = fund_of(risk)
        needs = sum(need[q] for q, other in scenario["risks"].items() if f is not None and fund_of(other) == f)
        a[r] = 1.0 if f is None or needs == 0 else min(1.0, balance[f] / needs)
    return a


def fund_of(risk: Table) -> str | None:
    return risk.get("response", {}).get("fund")


def strike_month(Y0: float, hit: dict[str, float]) -> dict[str, float]:
    """loss_{r,i}: what each risk takes from one stream, gains negative; their sum is Y0 (1 - prod (1 - hit))."""
    bad = {r: h for r, h in hit.items() if h > 0}
    good = {r: -h for r, h in hit.items() if h < 0}
    kept = math.prod(1 - h for h in bad.values())
    won = kept * (math.prod(1 + h for h in good.values()) - 1)  # gains act on what is left
    loss = dict.fromkeys(hit, 0.0)
    loss |= {r: Y0 * (1 - kept) * h / sum(bad.values()) for r, h in bad.items()}
    return loss | {r: -Y0 * won * h / sum(good.values()) for r, h in good.items()}


# ---------------------------------------------------------------------------------- 3.5 deferral


def deferral(risk: Table, strikes: list[Occurrence], backlog: float, loss: float, t: int) -> tuple[float, float]:
    """What comes back of a stream's backlog in month t, and the backlog at the month's end."""
    on = union_share([(k.tau, k.tau + k.D) for k in strikes], t)
    back = number(risk.get("release", 1)) * (1 - on) * backlog
    return back, backlog - back + number(risk.get("deferred", 0)) * max(loss, 0.0)


# ---------------------------------------------------------------------------------- 3.6 customers


def first_customers(scenario: Table) -> dict[str, int]:
    return {i: round(number(s["customers"]["count"])) for i, s in scenario["streams"].items() if "customers" in s}


def churn_chance(stream: Table, extra: float) -> float:
    """h: the chance to lose a customer within the month."""
    churn, rescue = number(stream["customers"].get("churn", 0)), number(stream["customers"].get("rescue", 0))
    return 1 - (1 - churn) ** ((1 + extra) * (1 - rescue) / 12)


def wins(stream: Table, t: int, lift: float) -> float:
    """Expected new customers of the month; lift works here, not on what a customer buys."""
    expected = stream["customers"].get("wins")
    return number(expected[t]) * (1 + lift) if expected else 0.0


def customers(stream: Table, i: str, t: int, N: int, extra: float, lift: float, draws: Draws) -> tuple[int, int]:
    """Customers lost and won at the end of month t, each the smallest count whose cumulative probability reaches u."""
    h, mean = churn_chance(stream, extra), wins(stream, t, lift)
    lost = won = 0
    while special.bdtr(lost, N, h) < draws.monthly(f"streams.{i}.customers.lost", t):
        lost += 1
    while special.pdtr(won, mean) < draws.monthly(f"streams.{i}.customers.won", t):
        won += 1
    return lost, won


# ---------------------------------------------------------------------------------- 3.7 review


def review_levels(scenario: Table) -> list[Table]:
    return sorted(scenario.get("review", {}).get("levels", []), key=lambda level: number(level["lag"]))


def status_of(levels: list[Table], lag: float) -> int:
    """0 green below the lowest level, 2 red at or above the highest, 1 yellow between; green without levels."""
    if not levels or lag < number(levels[0]["lag"]):
        return 0
    return 2 if lag >= number(levels[-1]["lag"]) else 1


def review(scenario: Table, t: int, lag: float, acted: set[tuple[int, int]]) -> int | None:
    """The level that acts at the end of month t, noted in `acted` with its calendar quarter; None where none does."""
    exceeded = [n for n, level in enumerate(review_levels(scenario)) if lag > number(level["lag"])]
    act = (exceeded[-1], calendar_month(scenario, t) // 3) if exceeded else None
    if act is None or act in acted:
        return None
    acted.add(act)
    return act[0]


# ---------------------------------------------------------------------------------- 3.8 money


def incentives_of(scenario: Table, revenue: list[ByStream], plan: list[float]) -> float:
    """The year's incentive_cost: the monthly rate of the highest tier reached, on the named streams' revenue."""
    terms = scenario.get("incentives", {})
    named = matching(scenario, terms.get("streams", "*"))
    cost = 0.0
    for month, planned in zip(revenue, plan, strict=True):
        attained = sum(month.values()) / planned if planned > 0 else math.inf
        reached = [
            (number(threshold), number(rate))
            for threshold, rate in terms.get("tiers", [])
            if attained >= number(threshold) - ALMOST
        ]
        cost += sum(month[i] for i in named) * (max(reached)[1] if reached else 0.0)
    return cost


@dataclass
class Book:
    """The path's accounts by month and stream; N has one more month than the others, the end of the last."""

    revenue: list[ByStream] = field(default_factory=list)
    gross_margin: list[ByStream] = field(default_factory=list)
    N: list[dict[str, int]] = field(default_factory=list)
    lost: list[dict[str, int]] = field(default_factory=list)
    balance: dict[str, float] = field(default_factory=dict)
    incentive_overrun: float = 0.0


def measured(scenario: Table, book: Book, measure: str, where: str | None, months: list[int]) -> float:
    """A target's measure of the streams (or the fund) that `where` names, over months t; a margin of nothing is 0."""
    if measure == "incentive_overrun":
        return book.incentive_overrun
    if measure == "fund_left":
        return sum(left for f, left in book.balance.items() if where in (None, "*", f))
    named = matching(scenario, where or "*")
    revenue = sum(book.revenue[t][i] for t in months for i in named)
    margin = sum(book.gross_margin[t][i] for t in months for i in named)
    if measure in ("revenue", "gross_margin"):
        return revenue if measure == "revenue" else margin
    if measure == "margin_rate":
        return margin / revenue if revenue != 0 else 0.0
    served = [i for i in named if i in book.N[0]]
    if measure == "customers":
        return sum(book.N[max(months) + 1][i] for i in served)
    kept = 1.0
    for t in months:
        N = sum(book.N[t][i] for i in served)
        kept *= 1 - sum(book.lost[t][i] for i in served) / N if N > 0 else 1.0
    return kept


def targets_met(scenario: Table, book: Book) -> dict[str, bool]:
    """Whether each target holds, the implied `revenue` first."""
    T = months_of(scenario)
    implied = {"measure": "revenue", "at_least": scenario["plan"]["target"]}
    met = {}
    for name, target in {"revenue": implied, **scenario.get("targets", {})}.items():
        months = [int(number(month)) - 1 for month in target.get("months", range(1, T + 1))]  # lists count from 1
        value = measured(scenario, book, target["measure"], target.get("where"), months)
        if "of" in target:
            whole = measured(scenario, book, target["measure"], target["of"], months)
            value = value / whole if whole != 0 else 0.0
        least, most = number(target.get("at_least", -math.inf)), number(target.get("at_most", math.inf))
        met[name] = (least == -math.inf or value >= least - ALMOST * abs(least)) and (
            most == math.inf or value <= most + ALMOST * abs(most)
        )
    return met


# ---------------------------------------------------------------------------------- 3 the month


def simulate_path(scenario: Table, seed: int, stream: int, path: int, *, central: Table | None = None) -> Table:
    """One path of one world.

    Parameters
    ----------
    scenario : dict
        The resolved scenario in the shape of its TOML, every uncertain quantity a plain number.
    seed, stream, path : int
        The address of the path's draws.
    central : dict, optional
        The central world, whose path is the plan where plan.phasing is absent; default: `scenario` itself.

    Returns
    -------
    dict
        The year's figures, by month, stream, risk, fund, line, level and target as the names say.
    """
    T, streams, risks = months_of(scenario), scenario["streams"], scenario.get("risks", {})
    lines, funds = scenario.get("lines", {}), scenario.get("funds", {})
    draws = Draws(scenario.get("correlation", {}), seed, stream, path)
    plan, levels = plan_path(scenario, central or scenario), review_levels(scenario)

    # what is drawn once a path
    E = {b: drawn(line.get("effectiveness", 1), draws.once(f"lines.{b}.effectiveness")) for b, line in lines.items()}
    slip = {
        i: drawn(s.get("launch", {}).get("slip", 0), draws.once(f"streams.{i}.launch.slip")) for i, s in streams.items()
    }
    factors = demand_and_noise(scenario, draws)
    strikes = {r: occurrences(risk, r, T, draws) for r, risk in risks.items()}
    exposure = {
        r: {i: chosen(risk.get("exposure", {"*": 1}), i, s) for i, s in streams.items()} for r, risk in risks.items()
    }

    # what the months change
    A = {b: number(line.get("initial", 0)) for b, line in lines.items()}
    corrective: list[dict[str, float]] = [{} for _ in range(T)]  # c_{b,t}
    backlog = {r: dict.fromkeys(streams, 0.0) for r in risks}
    loss, response_cost = dict.fromkeys(risks, 0.0), dict.fromkeys(risks, 0.0)
    fund_need, exhausted = dict.fromkeys(funds, 0.0), dict.fromkeys(funds, False)
    acted: set[tuple[int, int]] = set()
    lags: list[float] = []
    corrective_money = 0.0
    book = Book(N=[first_customers(scenario)], balance={f: number(fund.get("amount", 0)) for f, fund in funds.items()})
    balance = book.balance

    for t in range(T):
        A = adstock(scenario, t, A, corrective[t])
        lift = lifts(scenario, A, E)
        N = book.N[t]
        V = {i: base_volume(scenario, s, t, lift[i], slip[i], N.get(i, 0)) for i, s in streams.items()}
        Y0 = {i: V[i] * factors[t][i] for i in streams}

        # 3.4: the funds pay first, so that cover is known
        shares = {r: month_shares(risk, strikes[r], t) for r, risk in risks.items()}
        need = {r: need_of(risk, strikes[r], shares[r], exposure[r], Y0, t) for r, risk in risks.items()}
        a = cover(scenario, need, balance)
        for r, risk in risks.items():
            f = fund_of(risk)
            response_cost[r] += a[r] * need[r]
            if f is not None:
                fund_need[f] += need[r]
                exhausted[f] |= a[r] < 1
                balance[f] = max(0.0, balance[f] - a[r] * need[r])  # rounding must not overdraw it
        Y = {}
        for i in streams:
            hit = {
                r: min(1.0, sum(min(1.0, exposure[r][i] * share.S) * share.left(a[r]) for share in shares[r]))
                for r in risks
            }
            losses = strike_month(Y0[i], hit)
            Y[i] = Y0[i] - sum(losses.values())
            for r, risk in risks.items():
                back, backlog[r][i] = deferral(risk, strikes[r], backlog[r][i], losses[r], t)
                Y[i] += back
                loss[r] += losses[r] - back
        book.revenue.append(Y)

        # 3.6 and the margin of 3.8: what severity does beyond volume; only churn is softened by the response
        clipped = {r: {i: min(max(exposure[r][i], 0.0), 1.0) for i in streams} for r in risks}
        margin = {}
        for i, s in streams.items():
            eroded = sum(
                number(risk.get("margin_loss", 0)) * clipped[r][i] * sum(share.S * share.o for share in shares[r])
                for r, risk in risks.items()
            )
            margin[i] = Y[i] * (number(s["margin"]) - eroded)
        book.gross_margin.append(margin)
        book.lost.append({})
        book.N.append({})
        for i in N:
            extra = sum(
                number(risk.get("churn_multiplier", 0))
                * clipped[r][i]
                * sum(share.S * share.left(a[r]) for share in shares[r])
                for r, risk in risks.items()
            )
            lost, won = customers(streams[i], i, t, N[i], max(0.0, extra), lift[i], draws)
            book.lost[t][i], book.N[t + 1][i] = lost, N[i] - lost + won

        # 3.7: the last month is reported, but nothing can follow from it
        planned, made = sum(plan[: t + 1]), sum(sum(month.values()) for month in book.revenue)
        lags.append(1 - made / planned if planned != 0 else 0.0)
        n = review(scenario, t, lags[t], acted) if t < T - 1 else None
        if n is not None:
            amount, f, b = number(levels[n]["amount"]), levels[n].get("fund"), levels[n].get("line")
            paid = amount if f is None else min(amount, balance[f])
            if f is not None:
                fund_need[f] += amount
                exhausted[f] |= amount > balance[f]
                balance[f] -= paid
            corrective_money += paid
            if b is not None:
                corrective[t + 1][b] = paid

    incentive_cost = incentives_of(scenario, book.revenue, plan)
    incentive_line = scenario.get("incentives", {}).get("line")
    amounts = {b: number(line.get("amount", 0)) for b, line in lines.items()}
    book.incentive_overrun = max(0.0, incentive_cost - amounts.get(incentive_line, 0.0))
    gross_margin = sum(sum(month.values()) for month in book.gross_margin)
    return {
        "revenue": sum(sum(month.values()) for month in book.revenue),
        "gross_margin": gross_margin,
        "contribution": gross_margin
        - sum(amount for b, amount in amounts.items() if b != incentive_line)
        - corrective_money
        - sum(response_cost.values())
        - incentive_cost,
        "incentive_cost": incentive_cost,
        "revenue_deferred_out": sum(sum(left.values()) for left in backlog.values()),
        "monthly_revenue": [sum(month.values()) for month in book.revenue],
        "monthly_revenue_by_stream": book.revenue,
        "lag": lags,
        "status": [status_of(levels, lag) for lag in lags],
        "loss": loss,
        "response_cost": response_cost,
        "fund_balance": balance,
        "fund_need": fund_need,
        "fund_exhausted": exhausted,
        "customers": book.N[T],
        "spend": {b: amount + sum(month.get(b, 0.0) for month in corrective) for b, amount in amounts.items()},
        "review_acted": [any(n == level for level, _ in acted) for n in range(len(levels))],
        "target_met": targets_met(scenario, book),
    }
