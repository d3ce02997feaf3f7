"""Base volumes, responses to spend, and the path that the plan itself expects (model 3.1, 3.2)."""

import itertools
from dataclasses import dataclass

import numpy as np

from engine.scenario import selectors
from engine.scenario.model import Scenario, Stream
from engine.scenario.packing import Builder, stacked
from engine.scenario.tables import columns
from engine.scenario.worlds import Worlds, central


def _calendar(scenario: Scenario) -> np.ndarray:
    """Calendar month (0 = January) of every month of the horizon."""
    first = int(scenario.plan.start[5:7]) - 1
    return (first + np.arange(scenario.plan.months)) % 12


def normalised(weights: np.ndarray) -> np.ndarray:
    """Weights that sum to 1, row by row."""
    return weights / weights.sum(axis=1, keepdims=True)


def season(build: Builder, name: str | None) -> np.ndarray:
    """Season's weight of every month of the horizon, shape (1 or W, T); the twelve weights have mean 1."""
    calendar = _calendar(build.scenario)
    if name is None:
        return np.ones((1, calendar.size))
    weights = build.elements(f"seasons.{name}.weights", build.scenario.seasons[name].weights)
    return (12.0 * normalised(weights))[:, calendar]


def base_volume(build: Builder, name: str, stream: Stream) -> np.ndarray:
    """Base volume by month at lift 0 and level 1, shape (1 or W, T): a customer's, or a launch without G_t."""
    knob = f"streams.{name}"
    weights = season(build, stream.season)
    month = np.arange(build.scenario.plan.months)
    growth = 1.0 + build.read(f"{knob}.growth", stream.growth)[:, None]
    if stream.baseline is not None:
        return (
            build.read(f"{knob}.baseline", stream.baseline)[:, None] / 12.0 * weights * growth ** ((month + 6.5) / 12.0)
        )
    if stream.launch is not None:
        return build.read(f"{knob}.launch.peak", stream.launch.peak)[:, None] * weights
    assert stream.customers is not None
    spend = build.read(f"{knob}.customers.spend", stream.customers.spend)[:, None]
    return spend / 12.0 * weights * growth ** ((month + 0.5) / 12.0)


def _line_phasing(build: Builder, name: str) -> np.ndarray:
    """Share of a line's amount in every month, shape (1 or W, T)."""
    phasing = build.scenario.lines[name].phasing
    if isinstance(phasing, str):
        weights = np.ones((1, build.scenario.plan.months)) if phasing == "even" else season(build, phasing)
    else:
        weights = build.elements(f"lines.{name}.phasing", phasing)
    return normalised(weights)


def line_phasing(scenario: Scenario, name: str) -> np.ndarray:
    """Share of a line's amount in every month in the central world, shape (T,)."""
    return _line_phasing(Builder(central(scenario)), name)[0]


def _adstock(build: Builder, name: str, carryover: np.ndarray) -> np.ndarray:
    """Effective spend A_t = carryover A_{t-1} + (1 - carryover) x_t of the plan's own amount, shape (1 or W, T)."""
    line, knob = build.scenario.lines[name], f"lines.{name}"
    spend = build.read(f"{knob}.amount", line.amount)[:, None] * _line_phasing(build, name)
    initial = build.read(f"{knob}.initial", line.initial)[:, None]
    keep, state, spend = np.broadcast_arrays(carryover[:, None], initial, spend)
    state, result = state[:, 0], np.empty_like(spend)
    for t in range(spend.shape[1]):
        state = keep[:, t] * state + (1.0 - keep[:, t]) * spend[:, t]
        result[:, t] = state
    return result


def _respond(adstock: np.ndarray, hill: bool, ceiling: np.ndarray, scale: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Response U to an effective spend."""
    ceiling, scale, slope = ceiling[:, None], scale[:, None], slope[:, None]
    # a scale or a spend next to nothing gives an infinite ratio, and with it the right limit
    with np.errstate(divide="ignore", over="ignore"):
        if not hill:
            return -ceiling * np.expm1(-adstock / scale)
        return np.where(adstock > 0, ceiling / (1.0 + (scale / adstock) ** slope), 0.0)


@dataclass(frozen=True)
class Lifts:
    """Responses of the lines, shape (1 or W, lines[, T]), and the lift groups: streams with the same reach entries."""

    ceiling: np.ndarray
    scale: np.ndarray
    slope: np.ndarray
    carryover: np.ndarray
    hill: list[bool]
    adstock: np.ndarray
    response: np.ndarray
    groups: list[tuple[tuple[int, str], ...]]
    group_of: list[int]
    reach: np.ndarray

    @classmethod
    def of(cls, build: Builder) -> "Lifts":
        scenario = build.scenario
        items = list(scenario.lines.items())
        months = scenario.plan.months
        responses = [(n, v.response) for n, v in items]
        ceiling = build.table(
            "lines", [(n, None if r is None else r.ceiling) for n, r in responses], "response.ceiling"
        )
        scale = build.table("lines", [(n, None if r is None else r.scale) for n, r in responses], "response.scale", 1.0)
        slope = build.table("lines", [(n, None if r is None else r.slope) for n, r in responses], "response.slope", 1.0)
        carryover = build.table("lines", [(n, v.carryover) for n, v in items], "carryover")
        hill = [r is not None and r.kind == "hill" for _, r in responses]
        adstock = [_adstock(build, n, carryover[:, b]) for b, (n, _) in enumerate(items)]
        response = [_respond(adstock[b], hill[b], ceiling[:, b], scale[:, b], slope[:, b]) for b in range(len(items))]
        entries = [selectors.resolve(v.reach, scenario.streams) if v.response is not None else {} for _, v in items]
        keys = [tuple((b, str(e[s])) for b, e in enumerate(entries) if e.get(s) is not None) for s in scenario.streams]
        groups = list(dict.fromkeys(keys))
        pairs = [pair for group in groups for pair in group]
        reach = columns([build.read(f"lines.{items[b][0]}.reach.{e}", items[b][1].reach[e]) for b, e in pairs])
        return cls(
            ceiling, scale, slope, carryover, hill, stacked(adstock, months), stacked(response, months), groups,
            [groups.index(key) for key in keys], reach,
        )  # fmt: skip

    def planned(self) -> np.ndarray:
        """Lift of every group at the plan's own amounts and E = 1, shape (1 or W, groups, T)."""
        place = itertools.count()
        none = np.zeros((1, self.response.shape[2]))
        rows = [
            sum((self.reach[:, next(place), None] * self.response[:, b] for b, _ in group), none)
            for group in self.groups
        ]
        return np.maximum(stacked(rows, none.shape[1]), -1.0)


def expected_revenue(worlds: Worlds) -> np.ndarray:
    """Revenue by world, stream and month with E = 1, level 1, slip 0, expected customers, no risk and no noise.

    Returns
    -------
    ndarray, shape (1 or W, streams, months)
        [CNY a month]
    """
    build = Builder(worlds)
    lifts = Lifts.of(build)
    by_group = lifts.planned()
    parts = []
    for i, (name, stream) in enumerate(worlds.scenario.streams.items()):
        volume, lift = base_volume(build, name, stream), by_group[:, lifts.group_of[i]]
        if stream.customers is not None:
            volume = volume * _expected_customers(build, name, stream, lift)
        else:
            volume = volume * (1.0 + lift)
        if stream.launch is not None:
            volume = volume * _launch_shares(build, name, stream)
        parts.append(volume)
    return stacked(parts, worlds.scenario.plan.months)


def _expected_customers(build: Builder, name: str, stream: Stream, lift: np.ndarray) -> np.ndarray:
    """Mean number of customers in every month, shape (1 or W, T)."""
    assert stream.customers is not None
    knob, c = f"streams.{name}.customers", stream.customers
    stay = (1.0 - build.read(f"{knob}.churn", c.churn)) ** ((1.0 - build.read(f"{knob}.rescue", c.rescue)) / 12.0)
    wins = np.zeros((1, lift.shape[1])) if c.wins is None else build.elements(f"{knob}.wins", c.wins)
    count = np.rint(build.read(f"{knob}.count", c.count))
    months = []
    for t in range(lift.shape[1]):
        months.append(count)
        count = count * stay + wins[:, t] * (1.0 + lift[:, t])
    return columns(months)


def _launch_shares(build: Builder, name: str, stream: Stream) -> np.ndarray:
    """G_t of a launch that is on time, shape (1 or W, T)."""
    assert stream.launch is not None
    start = build.read(f"streams.{name}.launch.start", stream.launch.start)[:, None]
    ramp = build.read(f"streams.{name}.launch.ramp", stream.launch.ramp)[:, None]
    month = np.arange(build.scenario.plan.months)[None, :]
    begin = np.maximum(start, month)
    safe = np.where(ramp > 0, ramp, 1.0)
    missing = ramp * (np.exp(-(begin - start) / safe) - np.exp(-np.maximum(month + 1 - start, 0.0) / safe))
    return np.where(begin < month + 1, month + 1 - begin - missing, 0.0)


def plan_shares(scenario: Scenario, worlds: Worlds | None = None) -> np.ndarray:
    """Share of the year's revenue that the plan expects in every month, shape (1 or W, T)."""
    if scenario.plan.phasing is not None:
        build = Builder(worlds or central(scenario))
        return normalised(build.elements("plan.phasing", scenario.plan.phasing))
    path = expected_revenue(central(scenario)).sum(axis=1)
    total = path.sum(axis=1, keepdims=True)
    return path / total if total[0, 0] > 0 else np.full_like(path, 1.0 / path.shape[1])
