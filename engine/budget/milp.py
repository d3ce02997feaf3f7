"""The one home of PuLP: mixed-integer models, their solvers, and our own check of every answer.

A solver's word is not taken: variables are put back into the bounds and constraints of the model, the objective is
computed anew, and the status is read from the solver itself where that can be had (PuLP calls a run that hit its time
limit "optimal").
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import pulp
from pulp.apis import coin_api

from engine.errors import AllocationError

SOLVERS = ("highs", "cbc")
TOLERANCE = 1e-6  # of a bound, a constraint or a whole number, relative to the size of the numbers in it
GAP = 1e-6  # relative gap at which a solver may stop


class NoAnswer(AllocationError):
    """The time limit passed before a solver had any answer."""


class Status(Enum):
    """How a solver ended."""

    OPTIMAL = "optimal"
    TIME_LIMIT = "time limit"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class Solution:
    """What a solver found, checked."""

    status: Status
    objective: float
    bound: float  # no feasible point is better than this; the objective where the solver does not tell another
    values: dict[str, float]
    solver: str
    version: str

    @property
    def gap(self) -> float:
        """Relative distance of the objective from its bound."""
        return abs(self.bound - self.objective) / max(1e-12, abs(self.objective))


class _Outcome(NamedTuple):
    """What a solver says of itself; NaN where it does not tell."""

    status: Status
    objective: float
    bound: float


class _Row(NamedTuple):
    """low <= sum of terms <= high."""

    name: str
    terms: dict[str, float]
    low: float
    high: float


@dataclass
class Model:
    """A model to be maximised, as plain numbers: what is built here is what an answer is held against."""

    variables: dict[str, tuple[float, float, bool]] = field(default_factory=dict)
    objective: dict[str, float] = field(default_factory=dict)
    rows: list[_Row] = field(default_factory=list)

    def add(self, name: str, low: float = 0.0, high: float = math.inf, whole: bool = False) -> str:
        """Add a variable and return its name."""
        self.variables[name] = (low, high, whole)
        return name

    def require(self, name: str, terms: Mapping[str, float], low: float = -math.inf, high: float = math.inf) -> None:
        """Add low <= sum of terms <= high."""
        self.rows.append(_Row(name, dict(terms), low, high))

    def reward(self, name: str, value: float) -> None:
        """Add value x variable to what is maximised."""
        self.objective[name] = self.objective.get(name, 0.0) + value

    def piecewise(self, name: str, x: str, at: np.ndarray, height: np.ndarray) -> str:
        """Add a piecewise linear function of the variable `x`, of which more is better; returns its value's name.

        Where the slopes fall a maximum takes the pieces in their order by itself; else a binary for each piece says
        that the one before it is full.
        """
        widths, rises = np.diff(at), np.diff(height)
        slopes = rises / widths
        pieces = [self.add(f"{name}.piece.{j}", 0.0, float(w)) for j, w in enumerate(widths)]
        value = self.add(name, -math.inf)
        self.require(f"{name}.x", {x: 1.0} | dict.fromkeys(pieces, -1.0), float(at[0]), float(at[0]))
        terms = {piece: -float(s) for piece, s in zip(pieces, slopes, strict=True)}
        self.require(f"{name}.y", {value: 1.0} | terms, float(height[0]), float(height[0]))
        if (np.diff(slopes) > 1e-9 * np.abs(slopes).max(initial=0.0)).any():
            for j in range(1, len(pieces)):
                full = self.add(f"{name}.full.{j}", 0.0, 1.0, whole=True)
                self.require(f"{name}.after.{j}", {pieces[j]: 1.0, full: -float(widths[j])}, high=0.0)
                self.require(f"{name}.before.{j}", {pieces[j - 1]: 1.0, full: -float(widths[j - 1])}, low=0.0)
        return value

    def between(self, name: str, y: str, knots: np.ndarray) -> list[str]:
        """Add weights of knots, at most two neighbours of them above 0, that interpolate the variable `y`."""
        weights = [self.add(f"{name}.weight.{k}", 0.0, 1.0) for k in range(knots.size)]
        self.require(f"{name}.sum", dict.fromkeys(weights, 1.0), 1.0, 1.0)
        self.require(f"{name}.at", {y: -1.0} | dict(zip(weights, map(float, knots), strict=True)), 0.0, 0.0)
        pieces = [self.add(f"{name}.in.{k}", 0.0, 1.0, whole=True) for k in range(knots.size - 1)]
        self.require(f"{name}.one", dict.fromkeys(pieces, 1.0), 1.0, 1.0)
        for k, weight in enumerate(weights):
            beside = dict.fromkeys(pieces[max(0, k - 1) : k + 1], -1.0)
            self.require(f"{name}.beside.{k}", {weight: 1.0} | beside, high=0.0)
        return weights

    def solve(self, solver: str = "highs", time_limit: float | None = None, gap: float = GAP) -> Solution:
        """Solve and check.

        Raises
        ------
        AllocationError
            If the solver is missing or fails, or if what it returns breaks a constraint or is not what it claims.
        """
        problem, variables = self._translate()
        engine = _engine(solver, time_limit, gap)
        try:
            problem.solve(engine)
        except (pulp.PulpSolverError, OSError) as error:
            raise AllocationError(f"the solver {solver} failed: {error}; name another one with --solver") from error
        values = {name: variable.varValue for name, variable in variables.items()}
        return self.check(_outcome(problem, solver), values, solver)

    def _translate(self) -> tuple[pulp.LpProblem, dict[str, pulp.LpVariable]]:
        """The model for PuLP. Its names are numbers, so that no name of a user can clash with a file format."""
        problem = pulp.LpProblem("model", pulp.LpMaximize)
        variables = {}
        for j, (name, (low, high, whole)) in enumerate(self.variables.items()):
            bounds = (None if low == -math.inf else low, None if high == math.inf else high)
            variables[name] = problem.add_variable(f"v{j}", *bounds, "Integer" if whole else "Continuous")

        def expression(terms: Mapping[str, float]) -> pulp.LpAffineExpression:
            return pulp.LpAffineExpression([(variables[name], value) for name, value in terms.items()])

        problem.setObjective(expression(self.objective))
        for j, row in enumerate(self.rows):
            if row.low == row.high:
                problem += expression(row.terms) == row.low, f"c{j}"
                continue
            if row.low > -math.inf:
                problem += expression(row.terms) >= row.low, f"c{j}l"
            if row.high < math.inf:
                problem += expression(row.terms) <= row.high, f"c{j}h"
        return problem, variables

    def check(self, outcome: _Outcome, values: Mapping[str, float | None], solver: str) -> Solution:
        """Hold what a solver returned against the model.

        Raises
        ------
        AllocationError
            If there is no answer, or it breaks a bound or a constraint, or its objective is not what the solver says.
        """
        if outcome.status is Status.INFEASIBLE:
            return Solution(outcome.status, -math.inf, -math.inf, {}, solver, version(solver))
        found = {name: math.nan if value is None else float(value) for name, value in values.items()}
        for name in self._loose():
            low, high, _ = self.variables[name]
            found[name] = min(max(0.0, low), high)
        objective = self.value_of(found)
        faults = list(self._broken(found))
        if not math.isnan(outcome.objective) and _apart(outcome.objective, objective):
            faults.append(f"it says the objective is {outcome.objective:.9g}, which is {objective:.9g}")
        if not math.isnan(outcome.bound) and objective > outcome.bound and _apart(objective, outcome.bound):
            faults.append(f"its bound {outcome.bound:.9g} lies below the objective {objective:.9g}")
        if faults:
            message = f"the answer of the solver {solver} is wrong: {'; '.join(faults[:3])}"
            raise AllocationError(f"{message}; name another one with --solver")
        bound = outcome.bound
        if math.isnan(bound):
            bound = objective if outcome.status is Status.OPTIMAL else math.inf
        return Solution(outcome.status, objective, max(bound, objective), found, solver, version(solver))

    def _loose(self) -> list[str]:
        """Variables in no constraint and not in the objective, which PuLP does not pass to a solver."""
        used = set(self.objective).union(*(row.terms for row in self.rows))
        return [name for name in self.variables if name not in used]

    def value_of(self, values: Mapping[str, float]) -> float:
        """Objective at the given values."""
        return math.fsum(self.objective[name] * values[name] for name in self.objective)

    def _broken(self, values: Mapping[str, float]) -> Iterator[str]:
        for name, (low, high, whole) in self.variables.items():
            value = values[name]
            slack = TOLERANCE * max(1.0, abs(low) if low > -math.inf else 0.0, abs(high) if high < math.inf else 0.0)
            if not low - slack <= value <= high + slack:
                yield f"{name} = {value:.9g} lies outside {low:.9g} to {high:.9g}"
            elif whole and abs(value - round(value)) > TOLERANCE * max(1.0, abs(value)):
                yield f"{name} = {value:.9g} is not whole"
        for row in self.rows:
            parts = [value * values[name] for name, value in row.terms.items()]
            total, slack = math.fsum(parts), TOLERANCE * max(1.0, max(map(abs, parts), default=0.0))
            if not row.low - slack <= total <= row.high + slack:
                yield f"{row.name} = {total:.9g} lies outside {row.low:.9g} to {row.high:.9g}"


def _apart(first: float, second: float) -> bool:
    return abs(first - second) > 1e-5 * max(1.0, abs(first), abs(second))


@lru_cache
def version(solver: str) -> str:
    """Version of a solver."""
    if solver == "highs":
        return metadata.version("highspy")
    said = subprocess.run([str(_cbc_path()), "-quit"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"^Version: *(\S+)", said, re.MULTILINE)
    return found.group(1) if found else f"of PuLP {metadata.version('pulp')}"


def _cbc_path() -> str | None:
    """Program of CBC: PuLP 3 brings one of its own, PuLP 4 leaves it to a package that puts it on the path."""
    return shutil.which("cbc") or getattr(coin_api, "pulp_cbc_path", None)


@lru_cache
def _silence() -> None:
    """Let HiGHS print its banner, which it does once in a process whatever it is told, where nobody reads it."""
    import highspy

    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        highspy.Highs()
        ctypes.CDLL(None).fflush(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _engine(solver: str, time_limit: float | None, gap: float) -> pulp.LpSolver:
    """The solver, ready to run.

    Raises
    ------
    AllocationError
        If it is not installed.
    """
    options: dict[str, Any] = {"msg": False, "timeLimit": time_limit, "gapRel": gap}
    if solver == "highs":
        engine = pulp.HiGHS(**options, threads=1)
        if engine.available():
            _silence()
    elif solver == "cbc":
        engine = pulp.COIN_CMD(**options, path=_cbc_path())
    else:
        raise AllocationError(f"solver: {solver!r} is neither of {', '.join(SOLVERS)}")
    if not engine.available():
        package = {"highs": "highspy", "cbc": "cbc, or a PuLP that brings it"}[solver]
        raise AllocationError(f"the solver {solver} is not installed; install {package}, or name another one")
    return engine


def _outcome(problem: pulp.LpProblem, solver: str) -> _Outcome:
    """What the solver itself says, where that can be had; PuLP calls a run that hit its time limit optimal."""
    if solver == "highs":
        model = problem.solverModel
        status, info = str(model.getModelStatus()).rpartition(".k")[2], model.getInfo()
        found = _HIGHS.get(status)
        if found is None:
            raise AllocationError(f"the solver highs ended with {status!r}; name another one with --solver")
        if found is Status.INFEASIBLE:
            return _Outcome(found, math.nan, math.nan)
        # PuLP hands HiGHS a minimum
        bound = -info.mip_dual_bound if problem.isMIP() else -info.objective_function_value
        if found is Status.TIME_LIMIT and abs(info.objective_function_value) >= 1e30:
            raise NoAnswer("the time limit passed before the solver highs had any answer; allow more time")
        return _Outcome(found, -info.objective_function_value, bound if abs(bound) < 1e30 else math.nan)
    if problem.status == pulp.LpStatusInfeasible:
        return _Outcome(Status.INFEASIBLE, math.nan, math.nan)
    if problem.status == pulp.LpStatusNotSolved:
        raise NoAnswer(f"the time limit passed before the solver {solver} had any answer; allow more time")
    if problem.status != pulp.LpStatusOptimal or problem.sol_status == pulp.LpSolutionNoSolutionFound:
        raise AllocationError(f"the solver {solver} has no answer ({pulp.LpStatus[problem.status]})")
    exact = problem.sol_status == pulp.LpSolutionOptimal
    return _Outcome(Status.OPTIMAL if exact else Status.TIME_LIMIT, math.nan, math.nan)


_HIGHS = {
    "Optimal": Status.OPTIMAL,
    "ModelEmpty": Status.OPTIMAL,
    "TimeLimit": Status.TIME_LIMIT,
    "Infeasible": Status.INFEASIBLE,
    "UnboundedOrInfeasible": Status.INFEASIBLE,
}
