"""Batches: the worlds that a file means, the numbers of a world, and a store that survives what happens to it."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import icechunk
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from small import everything, fund, line, plan, risk, stream
from test_cli import flat
from test_cli import run as command

import engine
from engine import simulation
from engine.batch import layout, reading, tally
from engine.batch import run as running
from engine.batch.design import Batch
from engine.batch.export import export
from engine.batch.store import DONE, FAILED, MISSING, Store, writing
from engine.batch.summary import over_draws, status, summary
from engine.names import SUMMARIES
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


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


# -------------------------------------------------------------------------------------------------- the worlds it means


def test_a_grid_is_the_product_of_its_axes_the_last_one_fastest(folder: Path) -> None:
    found = all_worlds(read(folder, GRID))
    pairs = list(zip(found.read(PROBABILITY), found.read("plan.target"), strict=True))
    assert pairs == list(product([0.2, 0.5], [1000.0, 1100.0, 1200.0]))
    assert np.all(found.streams == 0)
    assert found.read(MODE) == pytest.approx(0.225)  # all else central


def test_zipped_axes_run_side_by_side(folder: Path) -> None:
    text = axes({PROBABILITY: [0.3, 0.4], "plan.target": [900, 1000]}, zipped=True)
    found = all_worlds(read(folder, text))
    assert list(zip(found.read(PROBABILITY), found.read("plan.target"), strict=True)) == [(0.3, 900.0), (0.4, 1000.0)]


def test_draws_are_those_of_any_run_at_every_point(folder: Path) -> None:
    """Point by point the same draws of what is not set, which are those of `attain run` at the same seed."""
    batch = read(
        folder,
        f'worlds = 8\nseed = 3\ncommon_paths = false\naxes = [{{ knob = "{PROBABILITY}", values = [0.3, 0.4] }}]',
    )
    found, drawn = all_worlds(batch), worlds.draw(batch.scenarios[0], 8, 3)
    assert np.array_equal(found.read(MODE), np.tile(drawn.read(MODE), 2))
    assert np.array_equal(found.read(PROBABILITY), np.repeat([0.3, 0.4], 8))
    assert np.array_equal(found.streams, np.arange(1, 17))
    alone = all_worlds(read(folder, "worlds = 8\nseed = 3"))
    assert np.array_equal(alone.read(PROBABILITY), drawn.read(PROBABILITY))


@pytest.mark.parametrize("kind", ["sobol", "latin_hypercube"])
def test_a_design_fills_distributions_and_ranges_evenly(folder: Path, kind: str) -> None:
    """Of 64 points of either kind each of 64 equal cells holds exactly one, in every knob."""
    text = f'[design]\nkind = "{kind}"\nsamples = 64\nknobs = ["risks.*"]\nranges = {{ "lines.ads.amount" = [10, 30] }}'
    found = all_worlds(read(folder, text))
    places = {
        PROBABILITY: (found.read(PROBABILITY) - 0.2) / 0.4, MODE: (found.read(MODE) - 0.15) / 0.15,
        "lines.ads.amount": (found.read("lines.ads.amount") - 10) / 20,
    }  # fmt: skip
    for place in places.values():
        assert sorted(np.floor(64 * place).astype(int)) == list(range(64))
    other = all_worlds(read(folder, "seed = 2\n" + text))
    assert not np.array_equal(other.read(MODE), found.read(MODE))


def test_a_design_keeps_the_scenario_s_correlation(folder: Path) -> None:
    """Rank correlation 0.8 over 1024 points: an independent design would show at most 5 / sqrt(1023) = 0.16."""
    linked = SMALL + f'\n[correlation]\n"{PROBABILITY} ~ {MODE}" = 0.8\n'
    (folder / "small.toml").write_text(linked)
    found = all_worlds(read(folder, '[design]\nkind = "sobol"\nsamples = 1024\nknobs = ["risks.*"]'))
    ranks = np.argsort(np.argsort([found.read(PROBABILITY), found.read(MODE)], axis=1), axis=1)
    assert np.corrcoef(ranks)[0, 1] == pytest.approx(0.8, abs=0.02)


def test_files_are_points(folder: Path) -> None:
    (folder / "worse.toml").write_text('extends = "small.toml"\nplan.target = 1300.0\n')
    batch = read(folder, 'files = ["small.toml", "worse.toml"]\nworlds = 3', "")
    assert [batch.scenario(world).file for world in range(6)] == ["small.toml"] * 3 + ["worse.toml"] * 3
    assert all(len({batch.scenario(w).file for w in range(c.start, c.stop)}) == 1 for c in batch.chunks())
    found = engine.batch(batch, folder / "store")
    assert found["scenario"].values.tolist() == ["small"] * 3 + ["worse"] * 3
    assert np.array_equal(found[MODE].values[:3], found[MODE].values[3:])
    assert (found["p_attain"].values[3:] < found["p_attain"].values[:3]).all()


@pytest.mark.parametrize(("paths", "draws", "files"), [(10, 5, 1), (70_000, 3, 1), (200_000, 2, 1), (50_000, 3, 2)])
def test_chunks_hold_every_world_once(folder: Path, paths: int, draws: int, files: int) -> None:
    text = f"paths = {paths}\nworlds = {draws}\nfiles = {json.dumps(['small.toml'] * files)}"
    batch = read(folder, text, "")
    assert [w for c in batch.chunks() for w in range(c.start, c.stop)] == list(range(batch.n_worlds))
    assert max(len(c) for c in batch.chunks()) == min(draws, max(1, simulation.CHUNK_PATHS // paths))


# ---------------------------------------------------------------------------------------------------- a world's numbers


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[Batch, xr.Dataset]:
    """A batch of the small plan with every mechanism, keeping everything; three worlds with other target and fund."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "rich.toml").write_text("\n".join(everything()))
    text = f"""
base = "rich.toml"
paths = 3000
keep = {json.dumps(reading.outputs())}
{axes({"plan.target": [3000, 3200, 3400], "funds.reserve.amount": [4, 12, 12]}, zipped=True)}
"""
    batch = reading.load(written(folder, text, ""))
    return batch, engine.batch(batch, folder / "store")


def test_every_output_is_that_of_a_simulation(rich: tuple[Batch, xr.Dataset]) -> None:
    """Against every path of `engine.simulate`: means to rounding, quantiles exactly."""
    batch, found = rich
    years = engine.simulate(all_worlds(batch), paths=3 * 3000)
    target = found["plan.target"]
    short = np.maximum(target - years["revenue"], 0.0)
    met = years["target_met"]
    paths = {
        "p_attain": met.isel(target=0), "p_all_targets": met.all("target"), "p_target": met,
        "p_fund_exhausted": years["fund_exhausted"].any("fund"), "shortfall": short, "loss": years["loss"].sum("risk"),
        "fund_need": years["fund_need"].sum("fund"), "response_cost": years["response_cost"].sum("risk"),
        "loss_by_risk": years["loss"],
    }  # fmt: skip
    for name in SUMMARIES:
        every = (paths[name] if name in paths else years[name]).astype(float)
        assert found[name].values == pytest.approx(every.mean("path").values, rel=1e-12, abs=1e-9), name
        error = (every.std("path") / np.sqrt(3000)).values
        assert found[f"{name}_se"].values == pytest.approx(error, rel=1e-9, abs=1e-9), name
    for name in ("revenue", "shortfall", "fund_need", "loss"):
        every = np.sort((paths[name] if name in paths else years[name]).values, axis=1)
        at = np.ceil(found["quantile"].values * 3000 - 1e-9).astype(int) - 1
        assert np.array_equal(found[f"{name}_quantiles"].values, every[:, at]), name


def test_a_world_is_what_a_forecast_says_of_it(folder: Path) -> None:
    """The first world of its own draws its paths from the stream 1, as a forecast of one world does."""
    found = engine.batch(written(folder, "common_paths = false\n" + GRID), folder / "store")
    alone = engine.load(folder / "small.toml", set=[f"{PROBABILITY}=0.2", "plan.target=1000"])
    forecast = engine.forecast(alone, paths=500, worlds=1).to_json()
    assert found["p_attain"].values[0] == pytest.approx(forecast["p_attain"]["value"], rel=1e-12)
    for name in ("revenue", "gross_margin"):
        assert found[name].values[0] == pytest.approx(forecast[name]["mean"], rel=1e-12)
        assert found[f"{name}_se"].values[0] == pytest.approx(forecast[name]["se"], rel=1e-9)
    assert found["fund_need"].values[0] == pytest.approx(forecast["fund_need"]["reserve"]["mean"], rel=1e-12)


def test_long_worlds_are_summed_in_parts(folder: Path) -> None:
    keep = 'keep = ["revenue", "p_attain", "revenue_quantiles"]\n'
    head = f'base = "small.toml"\npaths = {simulation.CHUNK_PATHS + 5000}\n{keep}'
    batch = read(folder, "", head)
    found = engine.batch(batch, folder / "store")
    years = engine.simulate(all_worlds(batch), paths=batch.paths)["revenue"].values[0]
    assert found["revenue"].values[0] == pytest.approx(years.mean(), rel=1e-12)
    assert found["revenue_se"].values[0] == pytest.approx(years.std() / np.sqrt(batch.paths), rel=1e-9)
    assert found["revenue_quantiles"].values[0, 2] == np.sort(years)[int(np.ceil(0.5 * batch.paths)) - 1]


def test_threads_and_places_of_work_change_no_bit(folder: Path) -> None:
    """Two threads, one, and workers that got the batch by mail and took the chunks from the end."""
    file = written(
        folder, GRID, 'base = "small.toml"\npaths = 60_000\nkeep = ["revenue", "p_attain", "revenue_quantiles"]\n'
    )
    one, two = (engine.batch(file, folder / f"threads{n}", threads=n) for n in (1, 2))
    assert differing(one, two) == []
    batch = reading.load(file)
    chunks = list(batch.chunks())
    assert len(chunks) == 3

    def elsewhere() -> Iterator[tally.Result]:
        for chunk in reversed(chunks):
            worker = tally.Worker(pickle.loads(pickle.dumps(batch)), threads=1)
            yield pickle.loads(pickle.dumps(worker.simulate(chunk)))

    with writing(folder / "elsewhere", layout.of(batch)) as writer:
        running.fulfil(writer, elsewhere(), commit_seconds=0.0)
    assert differing(one, engine.open_batch(folder / "elsewhere")) == []
    other = engine.batch(written(folder, GRID, "seed = 2\n" + file.read_text().partition("[[")[0]), folder / "other")
    assert {"revenue", "revenue_se", "p_attain"} <= set(differing(one, other))


def test_errors_of_a_point_hold_draws_and_common_paths() -> None:
    """1000 points of 16 draws: variance 4 between draws, 1 of the paths that they share; the error is that of the mean.

    The mean of 1000 variances with 15 degrees of freedom is within 5 sqrt(2 / 15 / 1000) = 6 % of the truth.
    """
    rng = np.random.default_rng(1)
    points = rng.normal(0, 2, (1000, 16)) + rng.normal(0, 1, (1000, 1))
    truth = 4 / 16 + 1
    squares = {c: np.mean([f.se**2 for v in points if (f := over_draws(v, np.ones(16), c))]) for c in (True, False)}
    assert points.mean(axis=1).var() == pytest.approx(truth, rel=5 * np.sqrt(2 / 999))
    assert squares[True] == pytest.approx(truth, rel=0.06)
    assert squares[False] < 0.3 * truth  # negative control: what own paths would have
    assert over_draws(points[0, :0], points[0, :0], True) is None


# ------------------------------------------------------------------------------------------------------------ the store


def test_a_store_says_what_it_holds(rich: tuple[Batch, xr.Dataset]) -> None:
    batch, found = rich
    assert set(found.data_vars) == {"state", "error", *(n + e for n in reading.outputs() for e in ("", "_se"))}
    assert all(
        found[name].attrs["units"] and found[name].attrs["long_name"] for name in found.data_vars if name != "error"
    )
    assert found["revenue"].attrs["units"] == "CNY"
    assert found["funds.reserve.amount"].dims == ("world",)
    assert found["month"].values[0] == np.datetime64("2024-03")
    assert found.attrs["scenario_text"] == batch.scenarios[0].resolved_text()
    assert found.attrs["scenario_hash"] == batch.scenarios[0].hash
    assert found.attrs["batch_text"] == batch.text
    assert found.attrs["seed"] == "1"
    assert found.attrs["engine_version"]


def test_a_world_that_cannot_be_is_recorded_and_the_rest_goes_on(folder: Path) -> None:
    amount = "lines.ads.amount"
    bad = {PROBABILITY: [0.2, 1.2, 0.4, 0.4, 0.5], MODE: [0.2, 0.2, 0.6, 0.2, 0.2], amount: [10, 10, 10, 95, 10]}
    text = axes(bad, zipped=True)
    found = engine.batch(written(folder, text), folder / "store")
    assert found["state"].values.tolist() == [DONE, FAILED, FAILED, FAILED, DONE]
    assert [bool(text) for text in found["error"].values] == [False, True, True, True, False]
    assert "1.2 is not between 0 and 1" in found["error"].values[1]
    assert "mode 0.6 exceeds high 0.5" in found["error"].values[2]
    assert "lines and funds sum to 5 CNY more than the budget" in found["error"].values[3]
    assert not any("world 0" in text for text in found["error"].values)
    assert np.isnan(found["revenue"].values).tolist() == [False, True, True, True, False]
    assert found[PROBABILITY].values[1] == 1.2
    good = axes({knob: [values[0], values[4]] for knob, values in bad.items()}, zipped=True)
    alone = engine.batch(written(folder, good), folder / "good")
    assert np.array_equal(alone["revenue"].values, found["revenue"].values[[0, 4]])
    told = status(folder / "store")
    assert (told.done, told.failed, told.missing, told.is_finished) == (2, 3, 0, True)
    assert [world for world, _ in told.errors] == [1, 2, 3]
    text, _ = command("batch", str(folder / "batch.toml"), "--store", str(folder / "store"), code=2)


def test_rates_beyond_what_is_simulated_fail(folder: Path) -> None:
    (folder / "small.toml").write_text(SMALL.replace('"probability" = { "uniform" = [0.2, 0.6] }', '"rate" = 1.0'))
    found = engine.batch(written(folder, 'axes = [{ knob = "risks.strike.rate", values = [2, 8] }]'), folder / "store")
    assert found["state"].values.tolist() == [DONE, FAILED]
    assert "occurrences, which are not simulated" in found["error"].values[1]


class _Stop(KeyboardInterrupt):
    """Ctrl-C at a moment of the test's choice."""


def stopping(after: int) -> tally.Progress:
    """A progress that is interrupted at its call number `after`."""
    calls = iter(range(after))

    def report(done: int, total: int) -> None:
        if next(calls, None) is None:
            raise _Stop

    return report


MANY = 'base = "small.toml"\npaths = 60_000\nworlds = 5\nkeep = ["revenue", "p_attain"]\n' + axes(
    {PROBABILITY: [0.3, 0.6]}
)


def test_an_interrupt_commits_what_is_done_and_resuming_gives_the_same_bits(folder: Path) -> None:
    file, store = written(folder, MANY, ""), folder / "store"
    whole = engine.batch(file, folder / "whole")
    with pytest.raises(_Stop):
        engine.batch(
            file, store, progress=stopping(after=6)
        )  # twice a chunk: when its paths and when its sums are done
    partial = engine.open_batch(store)
    assert partial["state"].values.tolist() == [DONE] * 6 + [MISSING] * 4
    assert np.isnan(partial["revenue"].values[6:]).all()
    assert partial[PROBABILITY].values[9] == 0.6  # what is set is known beforehand
    with pytest.raises(engine.StoreError, match="6 of 10 worlds; go on with --resume"):
        engine.batch(file, store)
    seen: list[tuple[int, int]] = []
    found = engine.batch(file, store, resume=True, progress=lambda *now: seen.append(now))
    assert seen[-1] == (4 * 60_000, 4 * 60_000)  # only what was missing
    assert differing(whole, found) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally.Worker, "simulate", None)  # finished: nothing is simulated
        assert differing(whole, engine.batch(file, store)) == []


def test_another_batch_is_refused_and_what_differs_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = folder / "store"
    engine.batch(written(folder, GRID), store)
    engine.batch(written(folder, "# only a remark\n" + GRID), store)
    for text, head, named in [
        ("seed = 2" + GRID, 'base = "small.toml"\npaths = 500\n', ["seed: 1 in the store, 2 now"]),
        (GRID, 'base = "small.toml"\npaths = 400\nworlds = 2\n', ["paths: 500 in the store, 400 now", "worlds: 1 in"]),
        (GRID.replace("0.5", "0.6"), 'base = "small.toml"\npaths = 500\n', ["points of the design are others"]),
        ('keep = ["revenue"]' + GRID, 'base = "small.toml"\npaths = 500\n', ["keep: p_attain revenue"]),
    ]:
        with pytest.raises(engine.StoreError) as error:
            engine.batch(written(folder, text, head), store, resume=True)
        assert [part for part in named if part not in " ".join(map(str, error.value.faults))] == []
    (folder / "small.toml").write_text(SMALL.replace("20.0", "21.0"))
    with pytest.raises(engine.StoreError, match="another batch") as error:
        engine.batch(written(folder, GRID), store, resume=True)
    assert [fault.knob for fault in error.value.faults] == ["scenario"]
    (folder / "small.toml").write_text(SMALL)
    monkeypatch.setattr("engine.batch.design.versions", lambda: layout.versions() | {"engine_version": "0.0.9"})
    with pytest.raises(engine.StoreError) as error:
        engine.batch(written(folder, GRID), store)
    assert [fault.knob for fault in error.value.faults] == ["engine_version"]


# Says so whenever it has got further, twice a chunk, and commits after every chunk.
CHILD = """
import sys, engine
def report(done, total):
    print(done, flush=True)
engine.batch(sys.argv[1], sys.argv[2], resume=True, commit_seconds=0.0, progress=report)
"""


def survive(file: Path, folder: Path, kills: int) -> list[int]:
    """Go on with a batch, killed at random moments again and again, and prove the finished stores.

    A moment is some word of progress and up to a tenth of a second more, in which a chunk is simulated or committed. A
    store that is finished gives way to a new one. Returns how many worlds were found after each kill.
    """
    rng, found, number = random.Random(kills), list[int](), 0
    whole = engine.batch(file, folder / "whole")
    while len(found) < kills:
        store = folder / f"store{number}"
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file), str(store)], stdout=subprocess.PIPE, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        ) as child:  # fmt: skip
            assert child.stdout is not None
            for _ in range(rng.randrange(24)):
                child.stdout.readline()
            try:
                child.wait(rng.uniform(0.0, 0.1))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
        assert child.returncode in (0, -signal.SIGKILL)
        if child.returncode == 0:
            assert differing(whole, engine.open_batch(store)) == []
            number += 1
        else:
            known = (store / "worlds.icechunk").exists()
            found.append(int((Store(store).standing().state == DONE).sum()) if known else 0)
    assert differing(whole, engine.batch(file, folder / f"store{number}", resume=True)) == []
    return found


LONG = 'base = "small.toml"\npaths = 65_536\nworlds = 40\nkeep = ["revenue", "p_attain", "revenue_quantiles"]\n'


def test_kills_cost_nothing_but_time(folder: Path) -> None:
    found = survive(written(folder, "", LONG), folder, kills=4)
    assert any(0 < worlds < 40 for worlds in found), found  # some of them struck in the middle of the work


@pytest.mark.slow
def test_many_kills_cost_nothing_but_time(folder: Path) -> None:
    found = survive(written(folder, "", LONG), folder, kills=20)
    assert sum(0 < worlds < 40 for worlds in found) >= 5, found


def test_only_one_process_writes(folder: Path) -> None:
    batch = read(folder, GRID)
    store = folder / "store"
    code = (
        "import fcntl, sys, time; handle = open(sys.argv[1], 'w'); fcntl.flock(handle, fcntl.LOCK_EX); "
        "print('on', flush=True); time.sleep(60)"
    )
    store.mkdir()
    with subprocess.Popen([sys.executable, "-c", code, str(store / "lock")], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(engine.StoreError, match="another process is writing to this store"):
            engine.batch(batch, store)
        child.kill()
        child.wait()
    engine.batch(batch, store)  # a killed process leaves no lock behind
    with writing(store, layout.of(batch)):
        assert status(store).is_written
        with pytest.raises(engine.StoreError, match="another process"), writing(store, layout.of(batch)):
            pass
    assert not status(store).is_written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where this may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_nothing_that_was_committed(folder: Path, small_disk: Path) -> None:
    file, store = written(folder, MANY, ""), small_disk / "store"
    whole = engine.batch(file, folder / "whole")
    with pytest.raises(_Stop):
        engine.batch(file, store, progress=stopping(after=4))
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(bytes(free - 8192))
    with pytest.raises(engine.StoreError, match=r"No space left on device.*go on with --resume"):
        engine.batch(file, store, resume=True, commit_seconds=0.0)
    assert engine.open_batch(store)["state"].values[:4].tolist() == [DONE] * 4
    ballast.unlink()
    assert differing(whole, engine.batch(file, store, resume=True)) == []


def test_a_read_only_store_can_be_read(folder: Path, small_disk: Path) -> None:
    file, store = written(folder, MANY, ""), small_disk / "store"
    with pytest.raises(_Stop):
        engine.batch(file, store, progress=stopping(after=4))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for place in (store, small_disk / "new"):
        with pytest.raises(engine.StoreError, match="Read-only file system"):
            engine.batch(file, place, resume=True)
    assert status(store).done == 4
    assert export(store, folder / "out.csv").exists()


def test_a_commit_that_fails_is_an_error_of_the_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk, wherever it is met: the storage says so, and the store stays as it was."""
    file, store = written(folder, MANY, ""), folder / "store"
    with pytest.raises(_Stop):
        engine.batch(file, store, progress=stopping(after=4))

    def full(*_: object, **__: object) -> None:
        raise icechunk.IcechunkError("  x session error: No space left on device (os error 28)\n  | \n  | context:")

    with monkeypatch.context() as patch:
        patch.setattr(icechunk.Session, "commit", full)
        with pytest.raises(engine.StoreError, match=r"cannot write the store: No space left on device; what"):
            engine.batch(file, store, resume=True)
    assert status(store).done == 4


def test_folders_that_hold_something_else_are_left_alone(folder: Path) -> None:
    with pytest.raises(engine.StoreError, match="holds other files, such as"):
        engine.batch(written(folder, GRID), folder)
    with pytest.raises(engine.StoreError, match="holds no store"):
        engine.open_batch(folder)
    (folder / "broken" / "worlds.icechunk").mkdir(parents=True)
    with pytest.raises(engine.StoreError, match="cannot read this store"):
        engine.open_batch(folder / "broken")
    half = folder / "half" / ".new"  # what a kill leaves that came before there was a store
    half.mkdir(parents=True)
    (half / "chunks").mkdir()
    assert (engine.batch(written(folder, GRID), folder / "half")["state"] == DONE).all()
    assert not half.exists()


# --------------------------------------------------------------------------------------------------- files and commands


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
        (["b.toml", "--store", "s", "--threads", "0"], "--threads: 0 is below 1"),
        (["b.toml", "--store", "s", "--export", "r.xlsx"], "--export: r.xlsx does not end in .parquet or .csv or .nc"),
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


def test_exports_hold_a_row_a_world(rich: tuple[Batch, xr.Dataset], folder: Path) -> None:
    batch, found = rich
    engine.batch(batch, folder / "store")
    tables = [
        pd.read_csv(export(folder / "store", folder / "t.csv")),
        pd.read_parquet(export(folder / "store", folder / "t.parquet")),
    ]
    for table in tables:
        assert list(table.columns[:5]) == ["world", "point", "draw", "plan.target", "funds.reserve.amount"]
        assert table["state"].tolist() == ["done"] * 3
        assert table["revenue"].to_numpy() == pytest.approx(found["revenue"].values, rel=1e-15)
        assert table["revenue_p5_se"].to_numpy() == pytest.approx(found["revenue_quantiles_se"].values[:, 0], rel=1e-15)
        assert table["monthly_revenue_2024-03"].to_numpy() == pytest.approx(
            found["monthly_revenue"].values[:, 0], rel=1e-15
        )
        assert table["loss_by_risk_slump"].to_numpy() == pytest.approx(found["loss_by_risk"].sel(risk="slump").values)
    read_back = engine.load(export(folder / "store", folder / "t.nc"))
    assert isinstance(read_back, xr.Dataset)
    assert np.array_equal(read_back["p_target"].values, found["p_target"].values)
    assert read_back.attrs["scenario_text"] == batch.scenarios[0].resolved_text()


def test_what_is_not_installed_is_named_with_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store = written(folder, GRID), folder / "store"
    engine.batch(file, store)
    monkeypatch.setattr("engine.batch.export.find_spec", lambda name: None if name == "pyarrow" else True)
    with pytest.raises(engine.StoreError, match=r"pyarrow, which is not installed; .*attain-engine\[batch\]"):
        export(store, folder / "t.parquet")
    assert not (folder / "t.parquet").exists()
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(engine.StoreError, match=r"icechunk, which is not installed; .*attain-engine\[batch\]"):
        engine.batch(file, folder / "new")


def test_the_function_is_called_by_the_name_of_its_package(folder: Path) -> None:
    """Importing the package puts it in the function's place, which the second call meets."""
    code = "import sys, engine; [engine.batch(*sys.argv[1:]) for _ in range(2)]; print(type(engine.batch).__name__)"
    arguments = [sys.executable, "-c", code, str(written(folder, GRID)), str(folder / "store")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    out = subprocess.run(arguments, check=True, capture_output=True, text=True, cwd=ROOT, env=environment).stdout
    assert out.split() == ["_Batch"]


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
    found = engine.batch(written(folder, "worlds = 400"), folder / "store")
    spread = summary(folder / "store").spreads["p_attain"]
    assert summary(folder / "store").is_sample
    width = np.ptp(found["p_attain"].values)
    assert 0.25 < spread.quantiles[0.5].se / (0.5 * width / np.sqrt(400)) < 2.0
    assert "± is what other draws would change" in flat(
        command("batch", str(folder / "batch.toml"), "--store", str(folder / "store"))[0]
    )
