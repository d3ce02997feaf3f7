"""What no single field of a scenario can know of the others: references, lengths, selectors, budget, correlation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from engine.errors import Fault, did_you_mean, nearest
from engine.scenario import copula, drivers, knobs, selectors
from engine.scenario.model import Risk, Scenario
from engine.scenario.quantity import Quantity

_FORBIDDEN = re.compile(r"[.:&~=*\s]")
_START = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_ITEMS = ("seasons", "streams", "lines", "funds", "risks", "targets")
DEFAULT_EVENTS = 6
MOST_LOST = 0.01  # share of paths that may have more occurrences than are kept
TOLERANCE = 1e-9

Say = Callable[..., None]


def faults(scenario: Scenario) -> list[Fault]:
    """Every fault of a scenario whose tables and fields are known to be of the right kind."""
    found: list[Fault] = []

    def say(knob: str, message: str, remedy: str = "") -> None:
        found.append(Fault(scenario.file, knob, message, remedy))

    for check in (
        _ranges, _names, _plan, _seasons, _streams, _lines, _amounts, _risks, _review, _incentives, _targets,
        _optimise, _correlation, _collisions,
    ):  # fmt: skip
        check(scenario, say)
    return found


def _near(word: str, known: Iterable[str]) -> str:
    known = list(known)
    return did_you_mean(word, known, f"known are {', '.join(known[:12])}" if known else "there is none")


def _refer(say: Say, knob: str, name: str | None, what: str, known: Mapping[str, object]) -> None:
    if name is not None and name not in known:
        say(knob, f"no {what} is called {name!r}", _near(name, known))


def _ranges(scenario: Scenario, say: Say) -> None:
    for knob in knobs.iter_knobs(scenario):
        wrong = knobs.range_fault(knob)
        if wrong is not None:
            say(knob.name, *wrong)


def _names(scenario: Scenario, say: Say) -> None:
    for table in _ITEMS:
        for name in getattr(scenario, table):
            _check_word(say, f"{table}.{name}", name, "name")
    for name, stream in scenario.streams.items():
        for label, value in stream.labels.items():
            _check_word(say, f"streams.{name}.labels.{label}", label, "label")
            _check_word(say, f"streams.{name}.labels.{label}", value, "value of a label")
    if "revenue" in scenario.targets:
        say("targets.revenue", "this target is implied by plan.target", "choose another name")


def _check_word(say: Say, knob: str, word: str, what: str) -> None:
    if not word or _FORBIDDEN.search(word):
        say(knob, f"{word!r} cannot be a {what}", "use letters, digits, _ and -; no space and none of . : & ~ = *")


def _plan(scenario: Scenario, say: Say) -> None:
    plan = scenario.plan
    if not _START.fullmatch(plan.start):
        say("plan.start", f"{plan.start!r} is no month", 'write it as "2024-01"')
    elif not 1678 <= int(plan.start[:4]) <= 2200:
        say("plan.start", f"{plan.start!r} lies outside 1678 to 2200", "name a nearer year")
    _weights(say, "plan.phasing", plan.phasing, plan.months, "one for each month of the plan")
    if not scenario.streams:
        say("streams", "there is no stream of revenue", "add one, such as [streams.shop] with a baseline")


def _weights(say: Say, knob: str, weights: Sequence[Quantity] | None, count: int, what: str) -> None:
    """A list of weights: its length, and that there is something to normalise."""
    if weights is None:
        return
    if len(weights) != count:
        say(knob, f"{len(weights)} weights", f"give {count}, {what}")
    elif all(w.known for w in weights) and sum(w.central() for w in weights) <= 0:
        say(knob, "the weights sum to 0", "give at least one above 0")


def _seasons(scenario: Scenario, say: Say) -> None:
    for name, season in scenario.seasons.items():
        _weights(say, f"seasons.{name}.weights", season.weights, 12, "January to December")


def _streams(scenario: Scenario, say: Say) -> None:
    for name, stream in scenario.streams.items():
        knob = f"streams.{name}"
        given = [key for key in ("baseline", "launch", "customers") if getattr(stream, key) is not None]
        if len(given) != 1:
            what = " and ".join(given) if given else "neither baseline nor launch nor customers"
            say(knob, f"{what} {'stand side by side' if given else 'is given'}", "give exactly one of the three")
        _refer(say, f"{knob}.season", stream.season, "season", scenario.seasons)
        wins = stream.customers.wins if stream.customers is not None else None
        if wins is not None and len(wins) != scenario.plan.months:
            say(
                f"{knob}.customers.wins",
                f"{len(wins)} numbers",
                f"give {scenario.plan.months}, one for each month of the plan",
            )


def _lines(scenario: Scenario, say: Say) -> None:
    months = scenario.plan.months
    for name, line in scenario.lines.items():
        knob = f"lines.{name}"
        if not isinstance(line.phasing, str):
            _weights(say, f"{knob}.phasing", line.phasing, months, "one for each month of the plan")
        elif line.phasing != "even":
            _refer(say, f"{knob}.phasing", line.phasing, "season", scenario.seasons)
            _season_spends(scenario, say, f"{knob}.phasing", line.phasing)
        _selectors(scenario, say, f"{knob}.reach", line.reach)


def _season_spends(scenario: Scenario, say: Say, knob: str, season: str) -> None:
    """A season by which money is phased has weight in some month of the horizon."""
    found = scenario.seasons.get(season)
    if found is None or len(found.weights) != 12 or not _START.fullmatch(scenario.plan.start):
        return
    first = int(scenario.plan.start[5:]) - 1
    used = [found.weights[(first + t) % 12] for t in range(scenario.plan.months)]
    if all(w.known and w.central() <= 0 for w in used):
        say(knob, f"the season {season!r} has no weight in the months of the plan", "phase the money otherwise")


def _amounts(scenario: Scenario, say: Say) -> None:
    currency = scenario.plan.currency
    total, known = 0.0, True
    for table in ("lines", "funds"):
        for name, item in getattr(scenario, table).items():
            known = known and item.amount.known
            total += item.amount.central() if item.amount.known else 0.0
            least, most = item.minimum.central(), item.maximum.central() if item.maximum is not None else math.inf
            if least > most:
                message = f"minimum {_money(least)} exceeds maximum {_money(most)} {currency}"
                say(f"{table}.{name}", message, "lower the minimum or raise the maximum")
    if scenario.plan.budget is None or not scenario.plan.budget.known or not known:
        return
    budget = scenario.plan.budget.central()
    if total > budget * (1.0 + TOLERANCE):
        message = (
            f"lines and funds sum to {_money(total)}, {_money(total - budget)} above the budget of {_money(budget)}"
        )
        say("plan.budget", f"{message} {currency}", "lower an amount or raise the budget")


def _money(value: float) -> str:
    return f"{value:,.0f}"


def _selectors(scenario: Scenario, say: Say, knob: str, entries: Iterable[str]) -> None:
    """Selectors of a reach or an exposure: each matches a stream, no stream is claimed twice alike."""
    good = [entry for entry in entries if _selector(scenario, say, f"{knob}.{entry}", entry)]
    for first, second, stream in selectors.ties(good, scenario.streams):
        remedy = "make one of them more specific, or add the stream by its name"
        say(knob, f"{first!r} and {second!r} both match the stream {stream} and are equally specific", remedy)


def _selector(scenario: Scenario, say: Say, knob: str, selector: str) -> bool:
    if selectors.select(selector, scenario.streams):
        return True
    if selector != selectors.EVERYTHING and selectors.pairs_of(selector) is None:
        remedy = _near(selector, [*scenario.streams, "*"])
        say(knob, f"{selector!r} is neither a stream nor label:value pairs joined by &", remedy)
    elif scenario.streams:
        labels = {f"{k}:{v}" for s in scenario.streams.values() for k, v in s.labels.items()}
        say(knob, f"{selector!r} matches no stream", _near(selector, sorted(labels)))
    return False


def _risks(scenario: Scenario, say: Say) -> None:
    for name, risk in scenario.risks.items():
        knob = f"risks.{name}"
        _chance(scenario, say, knob, risk)
        if risk.window is not None and all(end.known for end in risk.window):
            begin, end = (end.central() for end in risk.window)
            if begin > end:
                say(f"{knob}.window", f"{begin:g} lies after {end:g}", "give [first start, last start]")
        if risk.shape == "decay" and risk.duration == "rest":
            say(f"{knob}.duration", 'a decay cannot last the "rest" of the horizon', "give its time constant in months")
        _selectors(scenario, say, f"{knob}.exposure", risk.exposure)
        if risk.response is not None:
            _refer(say, f"{knob}.response.fund", risk.response.fund, "fund", scenario.funds)


def _chance(scenario: Scenario, say: Say, knob: str, risk: Risk) -> None:
    """Probability or rate, and what goes with each."""
    if (risk.probability is None) == (risk.rate is None):
        what = (
            "neither probability nor rate is given" if risk.rate is None else "probability and rate stand side by side"
        )
        say(knob, what, "give exactly one of them")
        return
    if risk.rate is None:
        if risk.max_events is not None:
            say(f"{knob}.max_events", "goes with a rate", "drop it: with a probability there is at most one occurrence")
        if risk.timing == "hazard" and risk.probability is not None and risk.probability.central() >= 1.0:
            message = "a constant hazard cannot be certain to strike"
            say(f"{knob}.probability", message, 'give a probability below 1, or timing = "uniform"')
        return
    if risk.timing != "uniform":
        say(f"{knob}.timing", "goes with a probability", "drop it: Poisson starts are uniform over the window")
    if risk.max_events is None and risk.rate.known:
        _enough_events(scenario, say, knob, risk, risk.rate)


def _enough_events(scenario: Scenario, say: Say, knob: str, risk: Risk, rate: Quantity) -> None:
    lost = float(lost_events(scenario, risk, np.array(rate.central())))
    if lost > MOST_LOST:
        message = f"{100 * lost:.1f} % of paths have more than {DEFAULT_EVENTS} occurrences, which are not simulated"
        say(f"{knob}.rate", message, "set max_events (at most 12), or lower the rate")


def lost_events(scenario: Scenario, risk: Risk, rate: np.ndarray) -> np.ndarray:
    """Share of the paths that have more than `DEFAULT_EVENTS` occurrences at a rate a year; the window is central."""
    from scipy.special import pdtrc

    begin, end = (0.0, float(scenario.plan.months)) if risk.window is None else (e.central() for e in risk.window)
    return np.asarray(pdtrc(DEFAULT_EVENTS, np.maximum(0.0, rate) * max(0.0, end - begin) / 12.0))


def _review(scenario: Scenario, say: Say) -> None:
    lags: list[float] = []
    for j, level in enumerate(scenario.review.levels, 1):
        _refer(say, f"review.levels.{j}.line", level.line, "line", scenario.lines)
        _refer(say, f"review.levels.{j}.fund", level.fund, "fund", scenario.funds)
        lag = level.lag.central()
        if lag in lags:
            say(f"review.levels.{j}.lag", f"two levels act at a lag of {lag:g}", "merge them or move one")
        lags.append(lag)


def _incentives(scenario: Scenario, say: Say) -> None:
    incentives = scenario.incentives
    if incentives is None:
        return
    _selector(scenario, say, "incentives.streams", incentives.streams)
    _refer(say, "incentives.line", incentives.line, "line", scenario.lines)
    starts = [tier[0].central() for tier in incentives.tiers]
    for j, (first, second) in enumerate(pairwise(starts), 2):
        if not first < second and not math.isnan(first + second):
            say(
                f"incentives.tiers.{j}",
                f"starts at {second:g}, not above {first:g} before it",
                "order the tiers by attainment",
            )


def _targets(scenario: Scenario, say: Say) -> None:
    months = scenario.plan.months
    for name, target in scenario.targets.items():
        knob = f"targets.{name}"
        if (target.at_least is None) == (target.at_most is None):
            given = "no bound is given" if target.at_least is None else "at_least and at_most stand side by side"
            say(knob, given, "give exactly one of at_least and at_most")
        for month in target.months or ():
            if not 1 <= month <= months:
                say(f"{knob}.months", f"month {month} is not in 1 to {months}", "months of the plan count from 1")
        if target.months is not None and not target.months:
            say(f"{knob}.months", "no month is named", "name some, or drop the list for all")
        if target.measure in ("fund_left", "incentive_overrun"):
            for field in ("months", "of"):
                if getattr(target, field) is not None:
                    say(f"{knob}.{field}", f"{target.measure} is of the horizon and takes no {field}", "drop it")
        if target.measure == "fund_left":
            if target.where != selectors.EVERYTHING:
                _refer(say, f"{knob}.where", target.where, "fund", scenario.funds)
        elif target.measure != "incentive_overrun":
            for field, selector in (("where", target.where), ("of", target.of)):
                if selector is not None and _selector(scenario, say, f"{knob}.{field}", selector):
                    _counted(scenario, say, f"{knob}.{field}", target.measure, selector)


def _optimise(scenario: Scenario, say: Say) -> None:
    known = {**scenario.lines, **scenario.funds}

    def refer(knob: str, names: Sequence[str]) -> None:
        for j, name in enumerate(names, 1):
            if name in scenario.lines and name in scenario.funds:
                say(f"{knob}.{j}", f"{name!r} is both a line and a fund", "rename one of them")
            else:
                _refer(say, f"{knob}.{j}", name, "line or fund", known)
            if name in names[: j - 1]:
                say(f"{knob}.{j}", f"{name!r} stands there twice", "drop one of them")

    refer("optimise.fixed", scenario.optimise.fixed)
    for name, group in scenario.optimise.groups.items():
        knob = f"optimise.groups.{name}"
        _check_word(say, knob, name, "name")
        refer(f"{knob}.members", group.members)
        if not group.members:
            say(f"{knob}.members", "no line or fund is named", "name some, or drop the group")
        if group.at_least is None and group.at_most is None:
            say(knob, "no bound is given", "give at_least, at_most or both")
        elif group.at_least is not None and group.at_most is not None:
            least, most = group.at_least.central(), group.at_most.central()
            if least > most:
                say(knob, f"at_least {least:g} exceeds at_most {most:g}", "lower one or raise the other")


def _counted(scenario: Scenario, say: Say, knob: str, measure: str, selector: str) -> None:
    if measure not in ("customers", "retention"):
        return
    if not any(scenario.streams[s].customers is not None for s in selectors.select(selector, scenario.streams)):
        say(knob, f"no stream that {selector!r} matches counts customers", "select streams with [customers]")


def in_order(scenario: Scenario) -> Iterator[tuple[str, list[str]]]:
    """Numbers that may not fall, as (knob of all, knobs in order): what holds in the file must hold in every world."""
    for name, risk in scenario.risks.items():
        if risk.window is not None:
            yield f"risks.{name}.window", [f"risks.{name}.window.{j}" for j in (1, 2)]
    yield "review.levels", [f"review.levels.{j + 1}.lag" for j in range(len(scenario.review.levels))]
    if scenario.incentives is not None:
        yield "incentives.tiers", [f"incentives.tiers.{j + 1}.1" for j in range(len(scenario.incentives.tiers))]


def in_sum(scenario: Scenario) -> Iterator[tuple[str, int]]:
    """Lists of weights, as (knob, length), of which one must be above 0."""
    for name in scenario.seasons:
        yield f"seasons.{name}.weights", 12
    for name, line in scenario.lines.items():
        if not isinstance(line.phasing, str):
            yield f"lines.{name}.phasing", scenario.plan.months
    if scenario.plan.phasing is not None:
        yield "plan.phasing", scenario.plan.months


# -------------------------------------------------------------------------------------------------------- correlation


def _correlation(scenario: Scenario, say: Say) -> None:
    groups: dict[bool, list[tuple[str, str, float]]] = {True: [], False: []}
    seen: set[frozenset[str]] = set()
    for text, rho in scenario.correlation.items():
        knob = f"correlation.{text}"
        pair = copula.split_pair(text)
        if pair is None:
            say(knob, "not a pair of names", 'write it as "first ~ second"')
            continue
        kinds = [_kind(scenario, say, knob, name) for name in pair]
        if pair[0] == pair[1]:
            say(knob, "a name is paired with itself", "name two different ones")
        elif frozenset(pair) in seen:
            say(knob, "this pair stands twice", "keep one of them")
        elif None not in kinds and kinds[0] != kinds[1]:
            message = f"{pair[0]} is drawn {_when(kinds[0])}, {pair[1]} {_when(kinds[1])}"
            say(knob, message, "pair two drivers of paths, or two uncertain knobs")
        elif None not in kinds and rho.known:
            groups[bool(kinds[0])].append((*pair, rho.central()))
        seen.add(frozenset(pair))
    for group in groups.values():
        _positive(say, group)


def _when(of_path: bool | None) -> str:
    return "on every path" if of_path else "once a world"


def _kind(scenario: Scenario, say: Say, knob: str, name: str) -> bool | None:
    """True for a driver of paths, False for an uncertain knob."""
    if copula.path_driver(scenario, name) is not None:
        return True
    found = knobs.index(scenario).get(name)
    if found is not None and found.kind != knobs.RANDOM:
        return False
    risk = name.removeprefix("risks.").removesuffix(f".{copula.OCCURS}")
    if name == f"risks.{risk}.{copula.OCCURS}" and risk in scenario.risks:
        say(knob, f"{name} needs a risk with a probability", "a risk with a rate has no single occurrence")
    elif (missing := _missing(scenario, name)) is not None:
        say(knob, *missing)
    else:
        say(
            knob,
            f"{name} is neither a driver nor a knob",
            _near(name, [*copula.driver_names(scenario), *knobs.index(scenario)]),
        )
    return None


def _missing(scenario: Scenario, name: str) -> tuple[str, str] | None:
    """What is wrong and what to do where a name's risk, line, stream or other item is not there."""
    table, _, rest = name.partition(".")
    if table not in _ITEMS or not rest:
        return None
    item, _, part = rest.partition(".")
    known = getattr(scenario, table)
    if item in known:
        return None
    near = nearest(item, known, cutoff=0.8)  # not at any price: it may well be removed
    typo = "" if near is None else f", or did you mean {table}.{near}{'.' * bool(part)}{part}?"
    return f"there is no {table[:-1]} {item}", f"remove this correlation too{typo}"


def _positive(say: Say, group: list[tuple[str, str, float]]) -> None:
    """A group's matrix has a Cholesky factor."""
    if any(abs(rho) > 1 for *_, rho in group):
        return
    wrong = copula.impossible(group)
    if wrong is not None:
        say("correlation", *wrong)


def _collisions(scenario: Scenario, say: Say) -> None:
    """Two drivers of the same number would draw the same."""
    for name, other in drivers.collisions(dict.fromkeys([*drivers.of_paths(scenario), *knobs.uncertain(scenario)])):
        say(name, f"shares its random stream with {other}", "rename one of them")
