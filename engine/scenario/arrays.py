"""Worlds -> PlanArrays: the only place where labels become indices."""

from collections.abc import Collection
from typing import Any

import numpy as np

from engine.kernels import layout
from engine.scenario import blocks, selectors
from engine.scenario.classes import Classes
from engine.scenario.model import Scenario
from engine.scenario.packing import Builder, driver_numbers, flat, stacked
from engine.scenario.tables import columns
from engine.scenario.volume import Lifts, base_volume, plan_shares
from engine.scenario.worlds import Worlds, factor, pairs

MEASURES = {
    "revenue": layout.REVENUE, "gross_margin": layout.GROSS_MARGIN, "margin_rate": layout.MARGIN_RATE,
    "customers": layout.COUNT, "retention": layout.RETENTION, "fund_left": layout.FUND_LEFT,
    "incentive_overrun": layout.OVERRUN,
}  # fmt: skip
_LOOKS = {
    layout.REVENUE: layout.LOOK_REVENUE, layout.GROSS_MARGIN: layout.LOOK_MARGIN,
    layout.MARGIN_RATE: layout.LOOK_REVENUE | layout.LOOK_MARGIN, layout.COUNT: layout.LOOK_CUSTOMERS,
    layout.RETENTION: layout.LOOK_CUSTOMERS,
}  # fmt: skip
DAYS_PER_MONTH = 30.0
_SLOTS = {"occurs": 0, "severity": 2, "duration": 3, "response.effectiveness": 4}


def _demand(build: Builder) -> layout.DemandAt:
    demand = build.scenario.demand
    return layout.DemandAt(
        volatility=build.number(build.read("demand.volatility", demand.volatility)),
        persistence=build.number(build.read("demand.persistence", demand.persistence)),
        correlation=build.number(build.read("demand.noise_correlation", demand.noise_correlation)),
        drivers=build.integer(driver_numbers(["demand", "noise"])),
    )


def _noise_scale(build: Builder, beta: np.ndarray, volatility: np.ndarray) -> np.ndarray:
    """`level` and the constants that give demand and noise the mean 1, shape (1 or W, streams)."""
    demand = build.scenario.demand
    common = build.read("demand.volatility", demand.volatility) ** 2
    persistence = build.read("demand.persistence", demand.persistence)
    spread = (common / (1.0 - persistence**2))[:, None]
    level = build.read("demand.level", demand.level, 1.0)[:, None]
    return level * np.exp(-0.5 * (beta**2 * spread + volatility**2))


def _streams(build: Builder, lift_group: list[int], classes: Classes) -> layout.StreamAt:
    scenario = build.scenario
    items = list(scenario.streams.items())
    months = scenario.plan.months
    launches = [(n, s.launch) for n, s in items if s.launch is not None]
    clients = [(n, s.customers) for n, s in items if s.customers is not None]
    names = [n for n, _ in items]
    beta = build.table("streams", [(n, s.demand_beta) for n, s in items], "demand_beta", 1.0)
    volatility = build.table("streams", [(n, s.volatility) for n, s in items], "volatility")
    volume = stacked([base_volume(build, n, s) for n, s in items], months)
    churn = build.table("streams", [(n, c.churn) for n, c in clients], "customers.churn")
    rescue = build.table("streams", [(n, c.rescue) for n, c in clients], "customers.rescue")
    none = np.zeros((1, months))
    wins = [none if c.wins is None else build.elements(f"streams.{n}.customers.wins", c.wins) for n, c in clients]
    count = np.rint(build.table("streams", [(n, c.count) for n, c in clients], "customers.count"))
    ends = [f"streams.{n}.customers.{end}" for n, _ in clients for end in ("lost", "won")]
    return layout.StreamAt(
        streams=len(items),
        launches=len(launches),
        clients=len(clients),
        volume=build.number(volume * _noise_scale(build, beta, volatility)[:, :, None]),
        beta=build.number(beta),
        volatility=build.number(volatility),
        margin=build.number(build.table("streams", [(n, s.margin) for n, s in items], "margin")),
        noise_driver=build.integer(driver_numbers(f"streams.{n}.noise" for n in names)),
        lift_group=build.integer(lift_group),
        profile=build.integer(classes.profile_of),
        place=build.integer(classes.places()),
        launch=build.integer(_positions(names, [n for n, _ in launches])),
        launch_start=build.number(build.table("streams", [(n, v.start) for n, v in launches], "launch.start")),
        launch_ramp=build.number(build.table("streams", [(n, v.ramp) for n, v in launches], "launch.ramp")),
        launch_slip=build.integer([build.field(f"streams.{n}.launch.slip", v.slip) for n, v in launches]),
        launch_driver=build.integer(driver_numbers(f"streams.{n}.launch.slip" for n, _ in launches)),
        client=build.integer(_positions(names, [n for n, _ in clients])),
        client_stream=build.integer([names.index(n) for n, _ in clients]),
        client_count=build.number(count),
        client_stay=build.number(np.log1p(-churn) * (1.0 - rescue) / 12.0),
        client_wins=build.number(stacked(wins, months)),
        client_drivers=build.integer(driver_numbers(ends)),
    )


def _positions(names: list[str], chosen: list[str]) -> list[int]:
    return [chosen.index(n) if n in chosen else layout.ABSENT for n in names]


def _lines(build: Builder, lifts: Lifts) -> layout.LineAt:
    items = list(build.scenario.lines.items())
    pointers, group_line = flat([[b for b, _ in group] for group in lifts.groups])
    return layout.LineAt(
        lines=len(items),
        groups=len(lifts.groups),
        ceiling=build.number(lifts.ceiling),
        scale=build.number(lifts.scale),
        slope=build.number(lifts.slope),
        carryover=build.number(lifts.carryover),
        adstock=build.number(lifts.adstock),
        response=build.number(lifts.response),
        reach=build.number(lifts.reach),
        hill=build.integer(lifts.hill),
        effectiveness=build.integer([build.field(f"lines.{n}.effectiveness", v.effectiveness) for n, v in items]),
        driver=build.integer(driver_numbers(f"lines.{n}.effectiveness" for n, _ in items)),
        group_ptr=build.integer(pointers),
        group_line=build.integer(group_line),
    )


def _window(build: Builder, name: str) -> np.ndarray:
    risk = build.scenario.risks[name]
    if risk.window is None:
        return np.array([[0.0, float(build.scenario.plan.months)]])
    return build.elements(f"risks.{name}.window", risk.window)


def _risks(build: Builder, classes: Classes) -> layout.RiskAt:
    scenario = build.scenario
    items = list(scenario.risks.items())
    answers = [(n, v.response) for n, v in items]

    def of(suffix: str, default: float = 0.0) -> np.ndarray:
        return build.table("risks", [(n, getattr(v, suffix)) for n, v in items], suffix, default)

    def answer(suffix: str) -> np.ndarray:
        return build.table(
            "risks", [(n, None if r is None else getattr(r, suffix)) for n, r in answers], f"response.{suffix}"
        )

    exposure = columns([
        build.read(f"risks.{items[r][0]}.exposure.{e}", items[r][1].exposure[e])
        for r, e in zip(classes.risk, classes.entry, strict=True)
    ])  # fmt: skip
    deferred = of("deferred")
    defers = deferred.max(axis=0) > 0
    backlog_ptr, backlog_class = flat([
        [c for c in classes.profiles[g] if defers[classes.risk[c]]] for g in classes.profile_of
    ])  # fmt: skip
    margin_loss = of("margin_loss")
    erodes = (margin_loss != 0).any(axis=0)
    erosion_ptr, erosion_class = flat([[c for c in key if erodes[classes.risk[c]]] for key in classes.profiles])
    profile_ptr, profile_class = flat(classes.profiles)
    group_ptr, group_profile = flat(classes.groups)
    part_ptr, part = flat(classes.parts())
    stream_ptr, profile_stream = flat([classes.streams_of(g) for g in range(len(classes.profiles))])
    occurrences = [blocks.events(scenario, n) for n, _ in items]
    windows = [_window(build, n) for n, _ in items]
    funds = list(scenario.funds)
    wait = build.table("risks", [(n, v.buffer.days) for n, v in items], "buffer.days") / DAYS_PER_MONTH
    return layout.RiskAt(
        risks=len(items),
        occurrences=sum(occurrences),
        most=max(occurrences, default=0),
        classes=len(classes.risk),
        profiles=len(classes.profiles),
        backlogs=len(backlog_class),
        probability=build.number(of("probability")),
        rate=build.number(of("rate") / 12.0),
        begin=build.number(columns([w[:, 0] for w in windows])),
        end=build.number(columns([w[:, 1] for w in windows])),
        trigger=build.number(answer("trigger")),
        lag=build.number(answer("lag_days") / DAYS_PER_MONTH),
        buffer_share=build.number(build.table("risks", [(n, v.buffer.share) for n, v in items], "buffer.share")),
        buffer_months=build.number(wait),
        deferred=build.number(deferred),
        release=build.number(of("release", 1.0)),
        margin_loss=build.number(margin_loss),
        churn=build.number(of("churn_multiplier")),
        cost_ratio=build.number(answer("cost_ratio")),
        cost_month=build.number(answer("cost_per_month")),
        exposure=build.number(exposure),
        by_rate=build.integer([v.rate is not None for _, v in items]),
        hazard=build.integer([v.timing == "hazard" for _, v in items]),
        decay=build.integer([v.shape == "decay" for _, v in items]),
        rest=build.integer([isinstance(v.duration, str) for _, v in items]),
        first=build.integer(np.cumsum([0, *occurrences])),
        severity=build.integer([build.field(f"risks.{n}.severity", v.severity) for n, v in items]),
        duration=build.integer([_duration(build, n) for n, _ in items]),
        effectiveness=build.integer([_effectiveness(build, n) for n, _ in items]),
        fund=build.integer(
            [layout.OUTSIDE if r is None or r.fund is None else funds.index(r.fund) for _, r in answers]
        ),
        driver=build.integer(driver_numbers(f"risks.{n}" for n, _ in items)),
        class_ptr=build.integer(np.cumsum([0, *(classes.risk.count(r) for r in range(len(items)))])),
        class_risk=build.integer(classes.risk),
        signed=build.integer([_signed(classes, exposure, r) for r in range(len(items))]),
        groups=len(classes.groups),
        sharing=sum(classes.profile_of.count(g) > 1 for g in classes.profile_of),
        class_place=build.integer([classes.place_of(c) for c in range(len(classes.risk))]),
        group_ptr=build.integer(group_ptr),
        group_profile=build.integer(group_profile),
        part_ptr=build.integer(part_ptr),
        part=build.integer(part),
        profile_ptr=build.integer(profile_ptr),
        profile_class=build.integer(profile_class),
        profile_stream_ptr=build.integer(stream_ptr),
        profile_stream=build.integer(profile_stream),
        erosion_ptr=build.integer(erosion_ptr),
        erosion_class=build.integer(erosion_class),
        backlog_ptr=build.integer(backlog_ptr),
        backlog_risk=build.integer([classes.risk[c] for c in backlog_class]),
        backlog_class=build.integer(backlog_class),
    )


def _duration(build: Builder, name: str) -> int:
    duration = build.scenario.risks[name].duration
    return layout.ABSENT if isinstance(duration, str) else build.field(f"risks.{name}.duration", duration)


def _effectiveness(build: Builder, name: str) -> int:
    response = build.scenario.risks[name].response
    if response is None:
        return layout.ABSENT
    return build.field(f"risks.{name}.response.effectiveness", response.effectiveness)


def _signed(classes: Classes, exposure: np.ndarray, r: int) -> bool:
    """Whether a negative exposure may turn a hit into a gain."""
    mine = [c for c, other in enumerate(classes.risk) if other == r]
    return bool(mine) and bool(exposure[:, mine].min() < 0)


def _copula(build: Builder) -> layout.CopulaAt:
    scenario = build.scenario
    ids, lines = list(scenario.risks), list(scenario.lines)
    launches = [n for n, s in scenario.streams.items() if s.launch is not None]
    linked = pairs(scenario, of_paths=True)
    names = sorted({name for first, second, _ in linked for name in (first, second)})
    of_risk = np.full((len(ids), layout.SLOTS_PER_RISK), layout.ABSENT, np.int64)
    of_line, of_launch = [layout.ABSENT] * len(lines), [layout.ABSENT] * len(launches)
    driver, slot, given = [], [], []
    occurrences = 1 if names else 0
    for j, name in enumerate(names):
        head, _, rest = name.partition(".")
        item, _, part = rest.partition(".")
        if head == "risks":
            r = ids.index(item)
            of_risk[r, _SLOTS[part]] = j
            occurrences = max(occurrences, blocks.events(scenario, item))
            driver.append(f"risks.{item}")
            slot.append(_SLOTS[part])
            given.append(layout.SLOTS_PER_RISK * r + _SLOTS[part])
            continue
        driver.append(name)
        slot.append(0)
        if head == "lines":
            of_line[lines.index(item)] = j
            given.append(layout.SLOTS_PER_RISK * len(ids) + lines.index(item))
        else:
            of_launch[launches.index(item)] = j
            given.append(layout.SLOTS_PER_RISK * len(ids) + len(lines) + launches.index(item))
    place = {name: j for j, name in enumerate(names)}
    rho = [(place[a], place[b], build.read(k, scenario.correlation[k.partition(".")[2]])) for a, b, k in linked]
    return layout.CopulaAt(
        members=len(names),
        occurrences=occurrences,
        factor=build.number(factor(names, rho, scenario.file) if names else np.zeros((1, 0))),
        driver=build.integer(driver_numbers(driver)),
        slot=build.integer(slot),
        given_row=build.integer(given),
        of_risk=build.integer(of_risk),
        of_line=build.integer(of_line),
        of_launch=build.integer(of_launch),
    )


def _control(build: Builder, shares: np.ndarray) -> layout.ControlAt:
    scenario = build.scenario
    target = build.read("plan.target", scenario.plan.target)
    levels = list(enumerate(scenario.review.levels, 1))
    lines, funds = list(scenario.lines), list(scenario.funds)
    incentives = scenario.incentives
    money = _money(build)
    first = int(scenario.plan.start[5:7]) - 1
    tiers = list(enumerate(incentives.tiers if incentives is not None else (), 1))
    return layout.ControlAt(
        months=scenario.plan.months,
        fours=-(-scenario.plan.months // 4),
        funds=len(funds),
        levels=len(levels),
        tiers=len(tiers),
        plan=build.number(target[:, None] * shares),
        fund_amount=build.number(money["fund_amount"]),
        level_lag=build.number(columns([build.read(f"review.levels.{j}.lag", v.lag) for j, v in levels])),
        level_amount=build.number(columns([build.read(f"review.levels.{j}.amount", v.amount) for j, v in levels])),
        tier_from=build.number(columns([build.read(f"incentives.tiers.{j}.1", t[0]) for j, t in tiers])),
        tier_rate=build.number(columns([build.read(f"incentives.tiers.{j}.2", t[1]) for j, t in tiers])),
        incentive_budget=build.number(money["incentive_budget"]),
        line_cost=build.number(money["line_cost"]),
        level_line=build.integer([len(lines) if v.line is None else lines.index(v.line) for _, v in levels]),
        level_fund=build.integer([layout.OUTSIDE if v.fund is None else funds.index(v.fund) for _, v in levels]),
        quarter=build.integer((first + np.arange(scenario.plan.months)) // 3),
    )


def _money(build: Builder) -> dict[str, np.ndarray]:
    """Numbers of `ControlAt` that follow from the amounts of lines and funds, shape (1 or W[, funds])."""
    scenario = build.scenario
    lines, incentives = list(scenario.lines), scenario.incentives
    amounts = build.table("lines", [(n, v.amount) for n, v in scenario.lines.items()], "amount")
    variable_pay = None if incentives is None else incentives.line
    paid = [b for b, n in enumerate(lines) if n != variable_pay]
    return {
        "fund_amount": build.table("funds", [(n, v.amount) for n, v in scenario.funds.items()], "amount"),
        "incentive_budget": np.zeros(1) if variable_pay is None else amounts[:, lines.index(variable_pay)],
        "line_cost": amounts[:, paid].sum(axis=1),
    }


def target_names(scenario: Scenario) -> list[str]:
    """Targets in order; the plan's own revenue target comes first."""
    return ["revenue", *scenario.targets]


class _Sets:
    """Distinct sets of streams, the first holding all."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.sets: list[tuple[str, ...]] = [tuple(scenario.streams)]
        self.looks = [layout.LOOK_REVENUE | layout.LOOK_MARGIN]  # the company's totals

    def position(self, selector: str | None, measure: int) -> int:
        """Number of the set of a selector, and note what is summed over it."""
        if selector is None:
            return layout.ABSENT
        chosen = tuple(selectors.select(selector, self.scenario.streams))
        if chosen not in self.sets:
            self.sets.append(chosen)
            self.looks.append(0)
        self.looks[self.sets.index(chosen)] |= _LOOKS.get(measure, 0)
        return self.sets.index(chosen)


def _targets(build: Builder) -> layout.TargetAt:
    scenario = build.scenario
    months, funds = scenario.plan.months, list(scenario.funds)
    sets = _Sets(scenario)
    everything = tuple(range(1, months + 1))
    measure, where, of, at_least = [layout.REVENUE], [0], [layout.ABSENT], [True]
    named, bound = [everything], [build.read("plan.target", scenario.plan.target)]
    for name, target in scenario.targets.items():
        code = MEASURES[target.measure]
        measure.append(code)
        if code == layout.FUND_LEFT:
            where.append(layout.ABSENT if target.where == "*" else funds.index(target.where))
        else:
            where.append(sets.position(target.where, code))
        of.append(sets.position(target.of, code))
        named.append(target.months or everything)
        at_least.append(target.at_least is not None)
        side = "at_least" if target.at_least is not None else "at_most"
        bound.append(build.read(f"targets.{name}.{side}", getattr(target, side)))
    paid = sets.position(None if scenario.incentives is None else scenario.incentives.streams, layout.REVENUE)
    looked = [[int(t + 1 in chosen) for t in range(months)] for chosen in named]
    ids = list(scenario.streams)
    pointers, entries = flat([[ids.index(s) for s in chosen] for chosen in sets.sets])
    return layout.TargetAt(
        targets=len(measure),
        sets=len(sets.sets),
        paid=paid,
        bound=build.number(columns(bound)),
        measure=build.integer(measure),
        where=build.integer(where),
        of=build.integer(of),
        months=build.integer(np.array(looked)),
        last=build.integer([max(chosen) - 1 for chosen in named]),
        at_least=build.integer(at_least),
        looks=build.integer(sets.looks),
        set_ptr=build.integer(pointers),
        set_stream=build.integer(entries),
    )


def _draws(build: Builder) -> layout.DrawAt:
    draws = build.draws
    return layout.DrawAt(
        fields=len(draws.kind),
        loc=build.number(columns(draws.loc)),
        scale=build.number(columns(draws.scale)),
        shape=build.number(columns(draws.shape)),
        kind=build.integer(draws.kind),
        start=build.integer(draws.starts()),
        stride=build.integer(draws.strides()),
        bits=build.integer(draws.bits),
    )


def build(worlds: Worlds, detail: Collection[str] = ()) -> layout.PlanArrays:
    """Translate worlds for the kernel; where all worlds agree there is one row of numbers."""
    scenario = worlds.scenario
    builder = Builder(worlds)
    lifts, classes = Lifts.of(builder), Classes.of(scenario)
    at: dict[str, Any] = {
        "demand": _demand(builder),
        "stream": _streams(builder, lifts.group_of, classes),
        "line": _lines(builder, lifts),
        "risk": _risks(builder, classes),
        "copula": _copula(builder),
        "control": _control(builder, plan_shares(scenario, worlds)),
        "target": _targets(builder),
    }
    at["draw"] = _draws(builder)
    at["value"], at["flag"] = blocks.results(scenario, detail)
    at["row"], at["mark"] = blocks.scratch(at, at["value"].size + at["flag"].size)
    return layout.PlanArrays(
        numbers=builder.packed_numbers(),
        whole=builder.packed_integers(),
        tables=builder.draws.nodes(),
        streams=np.ascontiguousarray(worlds.streams, np.uint64),
        layout=layout.Layout(**at),
    )


def revise(plan: layout.PlanArrays, worlds: Worlds) -> layout.PlanArrays:
    """`build(worlds)` for worlds that differ from those of `plan` in the amounts of lines and funds alone.

    Nothing else is built anew: an optimiser asks for thousands of allocations of the same worlds.
    """
    build = Builder(worlds)
    lifts, money, at = Lifts.of(build), _money(build), plan.layout
    parts = {at.line.adstock: lifts.adstock, at.line.response: lifts.response}
    parts |= {getattr(at.control, name): values for name, values in money.items()}
    flat_parts = {offset: values.reshape(values.shape[0], -1) for offset, values in parts.items()}
    rows = max(plan.numbers.shape[0], *(values.shape[0] for values in flat_parts.values()))
    numbers = np.array(np.broadcast_to(plan.numbers, (rows, plan.numbers.shape[1])))
    for offset, values in flat_parts.items():
        numbers[:, offset : offset + values.shape[1]] = values
    return plan._replace(numbers=numbers)
