"""What the store of a batch holds: coordinates, variables with units and meaning, and what reproduces the numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.batch import grid, tally
from engine.batch.design import Batch
from engine.batch.store import Layout
from engine.batch.tally import ERROR
from engine.dataset import versions
from engine.names import CURRENCY, QUANTILES, SUMMARIES, worlds_text
from engine.scenario import knobs


def of(the: Batch) -> Layout:
    """The layout of a batch's store."""
    world = ("world",)
    coords: dict[str, Any] = {
        "world": (world, np.arange(the.n_worlds), {}),
        "point": (world, np.repeat(np.arange(the.points), the.draws), {"long_name": "point of the design"}),
        "draw": (world, np.tile(np.arange(the.draws), the.points), {"long_name": "draw of what is uncertain"}),
    }
    if the.of_files:
        coords["scenario"] = (world, np.repeat(np.array(the.names), the.draws), {"long_name": "scenario file"})
    about = {name: {"units": _unit(the, name), "long_name": name} for name in the.knobs}
    for name, values in the.given.items():
        coords[name] = (world, np.repeat(np.asarray(values, float), the.draws), about[name])
    columns = list(dict.fromkeys((*coords, *the.knobs)))[1:]
    variables: dict[str, Any] = {name: (world, (the.n_worlds,), about[name]) for name in the.knobs}
    for name in the.keep:
        dims = tally.coordinates(the, name)
        shape = (the.n_worlds, *map(len, dims.values()))
        variables |= {key: ((*world, *dims), shape, said) for key, said in _described(the, name).items()}
        coords |= {dim: ((dim,), _plain(labels), {}) for dim, labels in dims.items()}
    # by the last of these xarray tells coordinates from variables
    return Layout({**_attrs(the), "columns": columns, "coordinates": " ".join(columns)}, coords, variables)


def _plain(labels: Sequence[object]) -> np.ndarray:
    """Labels as Zarr stores them: months as text."""
    values = np.array(labels)
    return values.astype("datetime64[M]").astype(str) if values.dtype.kind == "M" else values


def _unit(the: Batch, knob: str) -> str:
    return next(knobs.index(s)[knob].unit for s in the.scenarios if knob in knobs.index(s))


def _described(the: Batch, name: str) -> dict[str, dict[str, str]]:
    """Units and meaning of an output and of what says how exact it is."""
    variable = SUMMARIES[name.removesuffix(QUANTILES)]
    units = the.scenarios[0].plan.currency if variable.units == CURRENCY else variable.units
    what = f"quantiles of {variable.long_name}" if name.endswith(QUANTILES) else variable.long_name
    meaning = {
        "": what, ERROR: f"standard error for the paths of the world: {what}",
        grid.SUFFIX: f"bin of the grid, and so the most by which that of the paths may differ: {what}",
    }  # fmt: skip
    return {name + suffix: {"units": units, "long_name": meaning[suffix]} for suffix in tally.suffixes(the, name)}


def _attrs(the: Batch) -> dict[str, Any]:
    """What reproduces the numbers."""
    texts = [scenario.resolved_text() for scenario in the.scenarios]
    if the.of_files:
        texts = [f"# {name}\n{text}" for name, text in zip(the.names, texts, strict=True)]
    return {
        "batch": the.name, "batch_file": the.file, "batch_text": the.text,
        "scenario": ", ".join(the.names) if the.of_files else the.scenarios[0].title,
        "scenario_hash": the.identity["scenario"], "scenario_text": "\n".join(texts),
        "currency": the.scenarios[0].plan.currency, "target": float(the.scenarios[0].plan.target.central()),
        "seed": str(the.seed), "paths": the.paths, "part_paths": the.part_paths,
        "run": worlds_text(the.n_worlds, the.paths, the.seed),
        "points": the.points, "draws": the.draws, "common_paths": int(the.common_paths),
        "keep": list(the.keep), "axes": [*the.given, *the.places],
        "identity": json.dumps(the.identity), **versions(),
    }  # fmt: skip
