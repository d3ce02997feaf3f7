"""Batch files and the command: every fault is told, nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from batches import GRID, MANY, PROBABILITY, ROOT, SMALL, axes, read, written
from test_cli import flat
from test_cli import run as command

import engine
from engine.batch import reading, tally
from engine.batch import run as running
from engine.batch.design import Batch
from engine.batch.export import export
from engine.batch.summary import summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("pahts = 3", ["pahts: unknown key; did you mean paths?"]),
        ("schema = 2", ["schema: 2: input should be 1"]),
        ('keep = ["revnue"]', ["keep.1: 'revnue' is no output; did you mean revenue?"]),
        ("worlds = 0\nseed = -1", ["worlds: 0: input should be greater", "seed: -1: input should be greater"]),
        ('axes = [{ knob = "plan.tagret", values = [1] }]',
         ["'plan.tagret' is no knob of small.toml; did you mean plan.target?"]),
        ('axes = [{ knob = "plan.target", from = 1 }]', ["axes.1: to, steps missing; give values, or all of from"]),
        ('axes = [{ knob = "plan.target", values = [1], to = 2 }]', ["values and to stand side by side"]),
        ('axes = [{ knob = "plan.target", values = [nan] }]', ["holds what is no finite number"]),
        ('axes = [{ knob = "plan.target", values = ["a"] }]', ["axes.1.values.1: 'a': input should be a valid number"]),
        ('axes = [{ knob = "plan.target", values = [1], wrap = 1 }]', ["axes.1.wrap: unknown key"]),
        (f'axes = [{{ knob = "{PROBABILITY}", values = [1] }}, {{ knob = "{PROBABILITY}.uniform.1", values = [0] }}]',
         [f"axes.2.knob: {PROBABILITY}.uniform.1 means nothing where {PROBABILITY} is set"]),
        (axes({"plan.target": [1, 2], "funds.reserve.amount": [1]}, zipped=True),
         ["zip: the axes have 2, 1 values"]),
        ("zip = true", ["zip: there are no axes"]),
        ('files = ["small.toml"]\n[design]\nkind = "sobol"\nsamples = 2\nknobs = ["risks.*"]',
         ["design and files stand"]),
        ('[design]\nkind = "dice"\nsamples = 2', ["design.kind: 'dice'", "sobol or latin_hypercube"]),
        ('[design]\nkind = "sobol"\nsamples = 100\nknobs = ["risks.*"]', ["samples: 100 is no power of 2", "give 128"]),
        ('[design]\nkind = "sobol"\nsamples = 4', ["design: no knob is named"]),
        ('[design]\nkind = "sobol"\nsamples = 4\nknobs = ["plan.target"]',
         ["plan.target is a plain number", "give it a range"]),
        ('[design]\nkind = "sobol"\nsamples = 4\nknobs = ["risks.strike.severity"]', ["is drawn on every path"]),
        ('[design]\nkind = "sobol"\nsamples = 4\nknobs = ["riks.*"]', ["'riks.*' matches no uncertain knob"]),
        ('[design]\nkind = "sobol"\nsamples = 4\nranges = { "plan.target" = [2, 1] }', ["[2.0, 1.0] is no range"]),
        ('worlds = 5_000_000\naxes = [{ knob = "plan.target", values = [1, 2, 3] }]',
         ["3 points with 5,000,000 worlds each are more"]),
        ("x = [", ["batch.toml: not TOML"]),
    ],
)  # fmt: skip
def test_wrong_batch_files_are_told_what_is_wrong(folder: Path, text: str, named: list[str]) -> None:
    _, err = command("batch", str(written(folder, text)), "--store", str(folder / "store"), code=2)
    assert [part for part in named if part not in flat(err)] == []
    assert "Traceback" not in err
    assert not (folder / "store").exists()


def test_all_faults_are_listed_at_once(folder: Path) -> None:
    (folder / "other.toml").write_text(SMALL.replace("2024-03", "2024-04").replace('"budget"', '"bugdet"'))
    (folder / "third.toml").write_text(SMALL.replace("2024-03", "2024-04"))
    files = ["small.toml", "third.toml", "other.toml", "none.toml"]
    text = f'paths = 0\nxeed = 1\nkeep = ["revenue", "revenue"]\nfiles = {json.dumps(files)}'
    with pytest.raises(engine.ScenarioError) as error:
        read(folder, text, "")
    assert [fault.knob for fault in error.value.faults] == ["paths", "xeed", "keep.2", "plan.bugdet", ""]
    with pytest.raises(engine.ScenarioError) as error:
        read(folder, 'files = ["small.toml", "third.toml"]', "")
    assert [fault.knob for fault in error.value.faults] == ["plan.start"]


def test_the_command_runs_resumes_and_exports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store = str(written(folder, MANY, "")), str(folder / "store")
    execute = running.execute

    def interrupted(the: Batch, chunks: list, *options: object) -> Iterator[tally.Result]:
        yield from execute(the, chunks[:2], *options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "execute", interrupted)
    _, err = command("batch", file, "--store", store, code=130)
    assert flat(err).endswith(
        f"Interrupted: 4 worlds are in {store}. Go on with: attain batch {file} --store {store} --resume"
    )
    monkeypatch.setattr(running, "execute", execute)
    out, _ = command("batch", "--store", store, "--status")
    assert "4 of 10 worlds done, 0 failed, 6 missing" in flat(out)
    assert "go on with --resume" in flat(out)
    assert "holds this batch already" in flat(command("batch", file, "--store", store, code=2)[1])
    out, _ = command("batch", file, "--store", store, "--resume")
    assert "4 of them from before" in flat(out)
    assert max(map(len, out.splitlines())) <= 100
    assert "nothing was simulated" in flat(command("batch", file, "--store", store)[0])
    found = json.loads(command("batch", file, "--store", store, "--json")[0])
    assert (found["done"], found["missing"], found["finished"], len(found["points"])) == (10, 0, True, 2)
    dataset = engine.open_batch(store)
    figure = found["points"][1]["outputs"]["revenue"]
    assert figure["value"] == pytest.approx(dataset["revenue"].values[5:].mean())
    assert json.loads(command("batch", "--store", store, "--status", "--json")[0])["worlds"] == 10


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--store", "s"], "BATCH: is missing; name a batch file"),
        (["b.toml", "--threads", "0"], "--store: is missing; name a folder for the results"),
        (["b.toml", "--store", "s", "--threads", "0"], "--threads: 0 is below 1"),
        (
            ["b.toml", "--store", "s", "--export", "r.xls"],
            "--export: r.xls does not end in .parquet or .csv or .xlsx or .nc",
        ),
        (["b.toml", "--store", "s", "--export", "no/such/r.csv"], "the folder no/such does not exist"),
        (["b.toml", "--store", "s", "--status", "--resume"], "--status: simulates nothing"),
        (["b.toml", "--store", "s"], "b.toml: no such file"),
        (["--store", "no_such_store", "--status"], "holds no store of a batch"),
    ],
)
def test_wrong_options_of_the_command(arguments: list[str], named: str) -> None:
    out, err = command("batch", *arguments, code=2)
    assert out == ""
    assert named in flat(err)
    assert "Traceback" not in err


def test_what_is_not_installed_is_named_with_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store = written(folder, GRID), folder / "store"
    engine.run_batch(file, store)
    monkeypatch.setattr("engine.batch.export.find_spec", lambda name: None if name == "pyarrow" else True)
    with pytest.raises(engine.StoreError, match=r"pyarrow, which is not installed; .*attain-engine\[batch\]"):
        export(store, folder / "t.parquet")
    assert not (folder / "t.parquet").exists()
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(engine.StoreError, match=r"icechunk, which is not installed; .*attain-engine\[batch\]"):
        engine.run_batch(file, folder / "new")


def test_the_example_is_right() -> None:
    for file in (ROOT / "scenarios" / "batches").glob("*.toml"):
        assert reading.load(file).n_worlds > 1


def test_a_summary_of_many_points_spreads_the_worlds(folder: Path) -> None:
    text = f'[[axes]]\nknob = "{PROBABILITY}"\nfrom = 0\nto = 1\nsteps = 41\n'
    written(folder, text)
    out, _ = command("batch", str(folder / "batch.toml"), "--store", str(folder / "store"))
    found = summary(folder / "store")
    spread = found.spreads["p_attain"]
    assert (spread.low_world, spread.high_world) == (40, 0)  # the more probable the strike, the rarer the target
    assert spread.quantiles[0.5] == (np.median(found.dataset["p_attain"].values), 0.0)  # no sample, no error
    assert "p_attain is lowest in world 40, highest in world 0" in flat(out)
    assert found.n_points == len(list(found.points())) == 41


def test_quantiles_across_draws_have_an_error(folder: Path) -> None:
    """Of a median of n draws it is near 1 / (2 f sqrt(n)), f being the density there; here that of uniform knobs."""
    found = engine.run_batch(written(folder, "worlds = 400"), folder / "store")
    spread = summary(folder / "store").spreads["p_attain"]
    assert summary(folder / "store").is_sample
    width = np.ptp(found["p_attain"].values)
    assert 0.25 < spread.quantiles[0.5].se / (0.5 * width / np.sqrt(400)) < 2.0
    assert "± is what other draws would change" in flat(
        command("batch", str(folder / "batch.toml"), "--store", str(folder / "store"))[0]
    )
