"""What a batch says: how far it is, its points, and how its outputs spread across worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.analysis import estimates
from engine.analysis.estimates import Figure
from engine.batch.store import DONE, FAILED, MISSING, REASON, STATE, Store
from engine.batch.tally import ERROR, SUFFIXES
from engine.names import QUANTILES

if TYPE_CHECKING:
    import xarray as xr

SPREAD = (0.05, 0.5, 0.95)
MOST_POINTS = 1000  # that a summary lists; more are for `export`
_LAST_ERRORS = 5


@dataclass(frozen=True)
class Status:
    """How far a batch is.

    Attributes
    ----------
    batch, store : str
        Title, and folder.
    worlds, done, failed, missing : int
    seconds : float
        Time that was spent on what is there, over all sittings. [s]
    written : datetime
        When the last commit was.
    is_written : bool
        Whether a process is writing to it now.
    errors : list of (int, str)
        The last worlds that failed, and why.
    """

    batch: str
    store: str
    worlds: int
    done: int
    failed: int
    missing: int
    seconds: float
    written: datetime
    is_written: bool
    errors: list[tuple[int, str]]

    @property
    def is_finished(self) -> bool:
        """Whether every world was tried."""
        return self.missing == 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "batch": self.batch, "store": self.store, "worlds": self.worlds, "done": self.done, "failed": self.failed,
            "missing": self.missing, "finished": self.is_finished, "is_written": self.is_written,
            "seconds": self.seconds, "last_commit": self.written.isoformat(timespec="seconds"),
            "errors": [{"world": world, "error": text} for world, text in self.errors],
        }  # fmt: skip


def status(store: str | Path) -> Status:
    """How far the batch of a store is.

    Raises
    ------
    StoreError
        If there is no store, or it cannot be read.
    """
    found = Store(store)
    standing = found.standing()
    worlds = np.flatnonzero(standing.state == FAILED)[-_LAST_ERRORS:]
    return Status(
        str(found.attrs["batch"]), str(store), standing.state.size, standing.count(DONE), standing.count(FAILED),
        standing.count(MISSING), standing.seconds, standing.written, found.is_written,
        [(int(world), str(text)) for world, text in zip(worlds, found.errors(worlds), strict=True)],
    )  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """How an output spreads across the worlds that are done.

    Attributes
    ----------
    low, high : Figure
        Of the worlds with the least and the most, each with the sampling error of that world.
    low_world, high_world : int
    quantiles : dict of float to Figure
        Across worlds. Where these are draws, `se` is what as many other draws would change; the points of a design are
        what they are, and have none (0).
    error : float
        Median over worlds of the sampling error of one world.
    """

    low: Figure
    high: Figure
    low_world: int
    high_world: int
    quantiles: dict[float, Figure]
    error: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "low": self.low.to_json() | {"world": self.low_world},
            "high": self.high.to_json() | {"world": self.high_world},
            "quantiles": {str(level): figure.to_json() for level, figure in self.quantiles.items()},
            "se_of_a_world": self.error,
        }  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A point of the design: its place, and each output over its draws; None where no draw is done."""

    index: int
    scenario: str | None
    knobs: dict[str, float]
    worlds: int
    outputs: dict[str, Figure | None]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        name = {} if self.scenario is None else {"scenario": self.scenario}
        found = {key: None if figure is None else figure.to_json() for key, figure in self.outputs.items()}
        return {"point": self.index, **name, "knobs": self.knobs, "worlds": self.worlds, "outputs": found}


@dataclass(frozen=True)
class Summary:
    """What the worlds of a batch say that are done."""

    dataset: xr.Dataset
    status: Status

    @property
    def outputs(self) -> list[str]:
        """Outputs with one number a world."""
        return [name for name in self.dataset.attrs["keep"] if self.dataset[name].dims == ("world",)]

    @property
    def spreads(self) -> dict[str, Spread]:
        """Each output across worlds; nothing where no world is done."""
        return {name: _spread(self.dataset, name, self.is_sample) for name in self.outputs} if self.status.done else {}

    @property
    def is_sample(self) -> bool:
        """Whether the worlds are independent draws, not points of a design."""
        return self.n_points == 1

    @property
    def n_points(self) -> int:
        return int(self.dataset.attrs["points"])

    def points(self) -> Iterator[Point]:
        """Every point of the design, in order."""
        dataset, draws = self.dataset, int(self.dataset.attrs["draws"])
        state, common = dataset[STATE].values, bool(dataset.attrs["common_paths"])
        columns = {name: (dataset[name].values, dataset[name + ERROR].values) for name in self.outputs}
        axes = {name: dataset[name].values for name in dataset.attrs["axes"]}
        for index in range(self.n_points):
            part = slice(index * draws, (index + 1) * draws)
            done = state[part] == DONE
            yield Point(
                index, str(dataset["scenario"].values[part][0]) if "scenario" in dataset.coords else None,
                {name: float(values[part][0]) for name, values in axes.items()}, int(done.sum()),
                {name: over_draws(v[part][done], se[part][done], common) for name, (v, se) in columns.items()},
            )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency; points only where they are not too many."""
        attrs = self.dataset.attrs
        listed = [point.to_json() for point in self.points()] if self.n_points <= MOST_POINTS else None
        return {
            **self.status.to_json(), "scenario": attrs["scenario"], "paths": int(attrs["paths"]),
            "seed": int(attrs["seed"]), "draws": int(attrs["draws"]), "n_points": self.n_points,
            "outputs": {name: spread.to_json() for name, spread in self.spreads.items()}, "points": listed,
        }  # fmt: skip


def summary(store: str | Path) -> Summary:
    """Read a store for people.

    Raises
    ------
    StoreError
        If there is no store, or it cannot be read.
    """
    return Summary(Store(store).dataset(), status(store))


def over_draws(values: np.ndarray, errors: np.ndarray, common_paths: bool) -> Figure | None:
    """Mean over the draws of a point, and its standard error; None where there are none.

    Notes
    -----
    Var(mean) is the variance between draws over their number. On common paths that knows nothing of which paths were
    drawn, since all draws share them: their mean sampling variance is added, as if the draws' sampling errors were
    equal. That overstates the error, never by more than the sampling noise that is in the variance between draws.
    """
    if values.size == 0:
        return None
    if values.size == 1:
        return Figure(float(values[0]), float(errors[0]))
    variance = values.var(ddof=1) / values.size + (float((errors**2).mean()) if common_paths else 0.0)
    return Figure(float(values.mean()), float(np.sqrt(variance)))


def _spread(dataset: xr.Dataset, name: str, is_sample: bool) -> Spread:
    done = np.flatnonzero(dataset[STATE].values == DONE)
    values, errors = dataset[name].values[done], dataset[name + ERROR].values[done]
    low, high = int(values.argmin()), int(values.argmax())
    quantiles, apart = estimates.quantiles([values[None, :]], 1, np.array(SPREAD))
    middle = [Figure(float(q), float(se) if is_sample else 0.0) for q, se in zip(quantiles, apart, strict=True)]
    return Spread(
        Figure(float(values[low]), float(errors[low])), Figure(float(values[high]), float(errors[high])),
        int(done[low]), int(done[high]),
        dict(zip(SPREAD, middle, strict=True)), float(np.median(errors)),
    )  # fmt: skip


def table(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """A batch as columns, a row a world: knobs, state and outputs, of several dimensions a column for each label."""
    columns = {name: dataset[name].values for name in ("world", *dataset.attrs["columns"])}
    columns[STATE] = np.array(["missing", "done", "failed"], object)[dataset[STATE].values]
    outputs = (kept + suffix for kept in dataset.attrs["keep"] for suffix in SUFFIXES)
    for name in filter(dataset.__contains__, outputs):
        values = dataset[name]
        if values.dims == ("world",):
            columns[name] = values.values
            continue
        (dim,) = (dim for dim in values.dims if dim != "world")
        for j, label in enumerate(dataset[dim].values):
            columns[_column(name, str(dim), label)] = values.values[:, j]
    columns[REASON] = dataset[REASON].values
    return columns


def _column(name: str, dim: str, label: Any) -> str:
    """Such as ``revenue_p5`` and ``revenue_p5_se``, ``monthly_revenue_2024-01``, ``loss_by_risk_price_war``."""
    suffix = next((suffix for suffix in SUFFIXES[1:] if name.endswith(suffix)), "")
    plain = name.removesuffix(suffix)
    if dim == "quantile":
        return f"{plain.removesuffix(QUANTILES)}_p{100 * float(label):g}{suffix}"
    return f"{plain}_{str(np.datetime64(label, 'M')) if dim == 'month' else label}{suffix}"
