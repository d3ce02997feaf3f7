"""optimise(): a scenario -> the allocation that makes attainment most likely, with its certificate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine import replay, simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.budget import certificate, curves, goals, mean_value, prices, problem
from engine.budget.allocation import Allocation, Certificate
from engine.budget.curves import Curves
from engine.budget.goals import MET, Goal
from engine.budget.milp import SOLVERS, version
from engine.budget.oracle import Oracle
from engine.budget.problem import Problem
from engine.budget.search import Search
from engine.errors import AllocationError
from engine.names import OBJECTIVES
from engine.scenario.model import Scenario
from engine.scenario.worlds import fresh_seed

FRESH_PATHS = 1_000_000
PRICE_PATHS = 100_000
CERTIFY_SECONDS = 150.0
BUDGET_STEPS = 10  # of the search for the least budget
UNBOUNDED = 3.0  # times the plan's budget: the most that a line without a maximum is given in search of a confidence
AGREE = 0.003  # of P: two routes further apart than this, and than their error, do not agree

Report = Callable[[str], None]


def _quiet(_: str) -> None:
    """No progress is shown."""


@dataclass
class Setting:
    """A decision with its oracle, ready to be searched.

    `whole` is the same decision with every line in one piece, and `curves` are its; they differ from `problem` where
    money is split by quarter.
    """

    problem: Problem
    whole: Problem
    curves: Curves
    goal: Goal
    oracle: Oracle
    solver: str
    deadline: float = np.inf

    def search(self, changed: Problem | None = None) -> Search:
        """A search on the same paths, also of a decision with other bounds or another budget."""
        return Search(self.problem if changed is None else changed, self.oracle, self.solver, self.deadline)

    def best(self) -> tuple[Search, np.ndarray]:
        """A search and its answer; with quarters it starts from the answer with every line in one piece."""
        start = self.problem.plan
        if self.problem.quarters is not None:
            oracle = Oracle(self.whole, self.curves, self.goal, self.oracle.run)
            first = Search(self.whole, oracle, self.solver, self.deadline)
            start = self.problem.expand(self.whole.amounts(first.climb(self.whole.plan)[0]))
        search = self.search()
        return search, search.climb(start)[0]


def check(objective: str, alpha: float, confidence: float, solver: str, time_limit: float | None) -> None:
    """Refuse options that make no sense.

    Raises
    ------
    AllocationError
        Naming option, value and bound.
    """
    faults = []
    if objective not in OBJECTIVES:
        faults.append(f"objective: {objective!r} is none of {', '.join(OBJECTIVES)}")
    if not 0 < alpha < 1:
        faults.append(f"alpha: {alpha} lies outside 0 to 1")
    if not 0 < confidence < 1:
        faults.append(f"confidence: {confidence} lies outside 0 to 1")
    if solver not in SOLVERS:
        faults.append(f"solver: {solver!r} is neither of {', '.join(SOLVERS)}")
    if time_limit is not None and not time_limit > 0:
        faults.append(f"time_limit: {time_limit} is not above 0")
    if faults:
        raise AllocationError("; ".join(faults))


def prepare(
    scenario: Scenario, goal: Goal, paths: int, worlds: int | None, seed: int, solver: str, most: float | None = None,
    announce: Callable[[], None] | None = None, by_quarter: bool | None = None,
) -> tuple[Setting, float]:  # fmt: skip
    """Read the decision and set up its oracle; also the seconds that compiling took.

    `most` is the largest budget that will be looked at, by default the plan's; `by_quarter` overrules the scenario.
    """
    decision, whole = problem.build(scenario, by_quarter), problem.build(scenario, by_quarter=False)
    if most is not None:
        decision, whole = (p.with_budget(max(most, decision.budget)) for p in (decision, whole))
    run = simulation.plan_run(decision.scenario, paths, worlds, seed, "random")
    replay.require(run, goal.detail)
    compiled = simulation.compile_kernels(run, announce)
    targets = bool(goal.detail)
    shapes = curves.build(whole, targets=targets)
    mine = shapes if decision.quarters is None else curves.build(decision, targets=targets)
    return Setting(decision, whole, shapes, goal, Oracle(decision, mine, goal, run), solver), compiled


def optimise(
    scenario: Scenario,
    *,
    objective: str = "p_attain",
    alpha: float = 0.9,
    confidence: float = 0.8,
    paths: int = 200_000,
    worlds: int | None = None,
    seed: int = 1,
    solver: str = "highs",
    time_limit: float | None = None,
    certify: bool = False,
    fresh_paths: int = FRESH_PATHS,
    threads: int | None = None,
    report: Report | None = None,
    announce: Callable[[], None] | None = None,
) -> Allocation:
    """Set the budget out across lines and funds so that the objective is best.

    Parameters
    ----------
    scenario : Scenario
    objective : {"p_attain", "expected_revenue", "cvar_shortfall", "joint", "robust", "min_budget"}, optional
        P(revenue >= target); mean revenue; the mean shortfall of the worst 1 - alpha of all years; P(all targets met);
        mean revenue in the worst tenth of the worlds; the least money with P(attain) at `confidence`.
    alpha : float, optional
        Of `cvar_shortfall`. (0, 1)
    confidence : float, optional
        Of `min_budget`. (0, 1)
    paths, worlds, seed, threads : see `engine.simulate`
        Paths on which the allocation is chosen.
    solver : {"highs", "cbc"}, optional
    time_limit : float, optional
        After this the search ends with the best found. [s]
    certify : bool, optional
        Also run the second route and bound the optimum from above, which takes up to three minutes.
    fresh_paths : int, optional
        Paths of other worlds on which the answer is judged.
    report : callable, optional
        Called with a line of text as the work proceeds.
    announce : callable, optional
        Called when the kernels take more than a second to compile.

    Returns
    -------
    Allocation

    Raises
    ------
    AllocationError
        If an option makes no sense, constraints contradict each other, a confidence is out of reach, or a solver is
        missing, fails or lies.
    SimulationError
        If a size makes no sense or does not fit.
    """
    started = time.perf_counter()
    check(objective, alpha, confidence, solver, time_limit)
    simulation.check(paths, worlds, seed, "random", threads)
    simulation.check(fresh_paths, None, seed, "random")
    simulation.set_threads(threads)
    say = _quiet if report is None else report
    goal = goals.choose(objective, alpha)
    most = _everything(scenario) if objective == "min_budget" else None
    setting, compiled = prepare(scenario, goal, paths, worlds, seed, solver, most, announce)
    setting.deadline = np.inf if time_limit is None else time.perf_counter() + time_limit
    searching = time.perf_counter()
    say("searching")
    if objective == "min_budget":
        search, x = least_budget(setting, confidence, problem.build(scenario).budget, say)
    else:
        search, x = setting.best()
    x = tidy(search.problem, x)
    timing = {"compile_s": compiled, "search_s": time.perf_counter() - searching}
    found = _judge(setting, search, x, fresh_paths, worlds, certify, say, timing)
    timing["total_s"] = time.perf_counter() - started
    return replace(found, objective=objective, confidence=confidence if objective == "min_budget" else None)


def _everything(scenario: Scenario) -> float:
    """Money at which every line and fund that does something has its maximum, and the others their minimum."""
    decision = problem.build(scenario, by_quarter=False)
    acts = curves.build(decision).acts
    ends = [
        (item.maximum if item.maximum < np.inf else UNBOUNDED * decision.budget) if does else item.low
        for item, does in zip(decision.items, acts, strict=True)
    ]
    return float(sum(ends))


def tidy(decision: Problem, x: np.ndarray) -> np.ndarray:
    """Amounts to six digits of the budget, as a person would write them, where the constraints allow it."""
    step = 10.0 ** (np.floor(np.log10(max(decision.budget, 1e-300))) - 5)
    free = np.array([not item.whole and item.low < item.high for item in decision.items])
    low, high = (np.array([getattr(item, end) for item in decision.items]) for end in ("low", "high"))
    rounded = np.where(free, np.clip(np.floor(x / step + 1e-6) * step, low, high), x)
    left = float(x.sum() - rounded.sum())
    room = np.where(free & (rounded > low), high - rounded, -1.0)
    if left > 0 and room.max() >= left:
        rounded[int(np.argmax(np.where(room >= left, rounded, -1.0)))] += left
    return rounded if decision.holds(rounded) else x


def least_budget(setting: Setting, confidence: float, start: float, say: Report) -> tuple[Search, np.ndarray]:
    """The least money with which P(attain) reaches a confidence, and the search that has it for its budget.

    P at the best allocation never falls with money, so halving finds the least; the amounts of one step start the next.

    Raises
    ------
    AllocationError
        If the confidence is out of reach.
    """
    most = setting.problem.budget
    late, gap = False, 0.0

    def at(money: float, from_: np.ndarray) -> tuple[Search, np.ndarray, float] | None:
        nonlocal late, gap
        say(f"least budget: trying {money:,.0f}")
        search = setting.search(setting.problem.with_budget(money))
        try:
            x, p = search.climb(from_)
        except AllocationError as error:
            if not error.faults:
                raise  # the solver failed
            return None  # so little money cannot keep to the constraints
        late, gap = late or search.late, max(gap, search.mip_gap)
        return search, x, p

    found = at(most, setting.problem.plan)
    if found is None or found[2] < confidence:
        if late:
            raise AllocationError("the time limit passed before any budget with that confidence was found; allow more")
        reached = "nothing keeps to the constraints" if found is None else f"P(attain) is {found[2]:.3f}"
        raise AllocationError(
            f"confidence {confidence:g} is out of reach: with {most:,.0f}, as much as lines and funds may take, "
            f"{reached}; raise the maximum of lines that work, or ask for less"
        )
    enough, x, _ = found
    low, high = sum(item.low for item in setting.problem.items), float(x.sum())
    money = min(max(start, low), high)
    for _ in range(BUDGET_STEPS):
        if high - low < 1e-3 * most or late:
            break
        found = at(money, x)
        if found is not None and found[2] >= confidence:
            enough, x, _ = found
            high = float(x.sum())
        else:
            low = money
        money = 0.5 * (low + high)
    search = setting.search(enough.problem.with_budget(high))
    search.late, search.mip_gap = late, gap
    return search, x


def _judge(
    setting: Setting, search: Search, x: np.ndarray, fresh_paths: int, worlds: int | None, certify: bool, say: Report,
    timing: dict[str, float],
) -> Allocation:  # fmt: skip
    """Judge an allocation on fresh paths of fresh worlds, against the plan's own amounts and other rivals."""
    goal = setting.goal
    decision, seed = search.problem, setting.oracle.run.seed
    moment = time.perf_counter()
    second = _second_route(setting, search, x, say) if certify and isinstance(goal, _BOUNDED) else None
    better = None if second is None else second[2]
    if better is not None:
        x = tidy(decision, better)
    timing["certify_s"] = time.perf_counter() - moment
    moment = time.perf_counter()
    say("judging on fresh paths")
    run = simulation.plan_run(decision.scenario, fresh_paths, worlds, fresh_seed(seed), "random")
    replay.require(run, goal.detail)
    fresh = Oracle(decision, setting.oracle.curves, goal, run)
    whole = setting.whole if decision.budget == setting.whole.budget else setting.whole.with_budget(decision.budget)
    rival = mean_value.mean_value_optimum(whole, setting.curves, setting.solver)
    others = {"plan": whole.plan, "equal split": mean_value.equal_split(whole, setting.curves), "mean value": rival}
    attained, scores = _scored(goal, fresh.slack(x))
    planned, scores_plan = _scored(goal, fresh.plan_slack())
    averaged, _ = _scored(goal, fresh.slack(decision.expand(whole.amounts(rival))))
    timing["judge_s"] = time.perf_counter() - moment
    moment = time.perf_counter()
    say("pricing lines and funds")
    per_world = min(setting.oracle.run.paths_per_world, max(1, PRICE_PATHS // len(setting.oracle.run.worlds)))
    found_prices = prices.prices(setting.oracle, x, per_world)
    timing["prices_s"] = time.perf_counter() - moment
    proof = Certificate(
        in_sample=search.score(x), solver=setting.solver, solver_version=version(setting.solver),
        status="time limit" if search.late else "optimal", mip_gap=search.mip_gap,
        vss=estimates.mean(attained - averaged),
    )  # fmt: skip
    if second is not None:
        proof = _proved(proof, estimates.chance(scores), *second[:2])
    return Allocation(
        scenario=setting.whole.scenario, problem=decision, whole=whole, curves=setting.curves, objective=goal.name, x=x,
        value=estimates.mean(scores), value_plan=estimates.mean(scores_plan),
        value_gain=estimates.mean(scores - scores_plan), p_attain=estimates.chance(attained),
        p_attain_plan=estimates.chance(planned),
        gain=estimates.mean(attained - planned), fresh_paths=run.n_paths,
        worlds=run.n_worlds, seed=seed, certificate=proof, prices=found_prices,
        rivals={name: whole.amounts(y) for name, y in others.items()},
        timing=timing,
    )  # fmt: skip


def _scored(goal: Goal, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each path attains, and what it adds to the objective, shape (worlds, paths) each."""
    return (slack[0] >= MET).astype(float), goal.scores(slack)


_BOUNDED = (goals.Attain, goals.Joint)


def _second_route(
    setting: Setting, search: Search, x: np.ndarray, say: Report
) -> tuple[certificate.Gap | None, Figure, np.ndarray | None]:
    """The gap, how far the second route's best lies above the first's, and that best where it is clearly better."""
    seed = fresh_seed(fresh_seed(setting.oracle.run.seed))
    found = certificate.gap(
        search.problem, setting.oracle.curves, setting.goal, x, seed, setting.solver, CERTIFY_SECONDS, say,
        one_world=len(setting.oracle.run.worlds) == 1,
    )  # fmt: skip
    if found is None:
        return None, Figure(np.nan, np.nan), None
    best = max(found.candidates, key=search.score)
    scores, rivals = (setting.goal.scores(setting.oracle.slack(y)) for y in (x, best))
    ahead = estimates.mean(rivals - scores)
    clearly = ahead.value > max(AGREE, 2.0 * ahead.se)
    return found, ahead, search.climb(best)[0] if clearly else None


def _proved(proof: Certificate, value: Chance, found: certificate.Gap | None, ahead: Figure) -> Certificate:
    """The certificate with what the second route says of the objective's value."""
    if found is None:
        return proof
    bound = certificate.bound(value, found)
    return replace(
        proof, upper_bound=bound, gap=bound["value"] - value.value, gap_high=found.high,
        bounds_what=certificate.bounds_what(found),
        routes_agree=abs(ahead.value) <= max(AGREE, 2.0 * ahead.se), route_two=ahead,
        replications=found.replications, proved=found.proved,
    )  # fmt: skip
