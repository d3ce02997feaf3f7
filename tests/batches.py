"""Small batches for tests: files, worlds, and whether two of them are the same to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr
from small import fund, line, plan, risk, stream

from engine.batch import reading
from engine.batch.design import Batch
from engine.scenario import worlds

ROOT = Path(__file__).parents[1]
SMALL = "\n".join([
    plan(target=1200.0, start="2024-03", budget=100.0),
    stream(volatility=0.1), line(amount=20.0), fund(amount=10.0),
    risk(probability={"uniform": [0.2, 0.6]}, severity={"pert": [0.1, {"uniform": [0.15, 0.3]}, 0.5]}, duration=2.0,
         response={"effectiveness": 0.5, "cost_ratio": 0.1, "fund": "reserve"}),
])  # fmt: skip
PROBABILITY, MODE = "risks.strike.probability", "risks.strike.severity.pert.2"
GRID = f"""
[[axes]]
knob = "{PROBABILITY}"
values = [0.2, 0.5]
[[axes]]
knob = "plan.target"
from = 1000
to = 1200
steps = 3
"""


def axes(values: dict[str, list[float]], zipped: bool = False) -> str:
    """Axes of a batch file."""
    listed = [f"[[axes]]\nknob = {json.dumps(knob)}\nvalues = {found}" for knob, found in values.items()]
    return "\n".join([f"zip = {json.dumps(zipped)}", *listed])


def written(
    folder: Path, text: str, head: str = 'base = "small.toml"\npaths = 500\n', name: str = "batch.toml"
) -> Path:
    file = folder / name
    file.write_text(head + text)
    return file


def read(folder: Path, text: str, head: str = 'base = "small.toml"\npaths = 500\n') -> Batch:
    return reading.load(written(folder, text, head))


def all_worlds(batch: Batch) -> worlds.Worlds:
    return batch.worlds(np.arange(batch.n_worlds))


def content(values: np.ndarray) -> object:
    return values.tolist() if values.dtype.kind == "O" else (values.dtype, values.shape, values.tobytes())


def differing(a: xr.Dataset, b: xr.Dataset) -> list[str]:
    """Names of variables that are not the same to the bit."""
    assert list(a.variables) == list(b.variables)
    return [str(name) for name in a.variables if content(a[name].values) != content(b[name].values)]


MANY = 'base = "small.toml"\npaths = 60_000\nworlds = 5\nkeep = ["revenue", "p_attain"]\n' + axes(
    {PROBABILITY: [0.3, 0.6]}
)
