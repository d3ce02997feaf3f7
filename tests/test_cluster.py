"""Batches on a cluster, and worlds in parts: the same bits wherever and in whatever order they are worked on."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from batches import GRID, PROBABILITY, ROOT, SMALL, axes, differing, read, written
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import flat
from test_cli import run as command

import engine
from engine.batch import cluster, reading, tally
from engine.batch.design import Batch, Chunk, Part
from engine.batch.store import DONE, FAILED
from engine.batch.summary import status
from engine.batch.tally import Gathering, Summary, Worker

KEEP = 'keep = ["revenue", "p_attain", "p_target", "monthly_revenue", "revenue_quantiles", "fund_need_quantiles"]\n'
PARTS = f'base = "small.toml"\npaths = 100_000\npart_paths = 30_000\n{KEEP}'  # four parts, the last a short one
LONG = f'base = "small.toml"\npaths = 240_000\npart_paths = 30_000\n{KEEP}'

TOTAL = 6 * 240_000  # paths of the six worlds of GRID


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture(scope="module")
def four() -> Iterator[Client]:
    """A cluster of four processes."""
    with (
        cluster._silence(),
        LocalCluster(
            4, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs=60
        ) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield client


# ------------------------------------------------------------------------------------------------------ worlds in parts


def test_parts_hold_every_path_once(folder: Path) -> None:
    batch = read(folder, GRID, PARTS)
    for chunk in batch.chunks():
        parts = list(batch.parts(chunk))
        assert [part.index for part in parts] == list(range(parts[0].of)) == [0, 1, 2, 3]
        assert [path for part in parts for path in (part.path, part.path + part.n_paths)] == [
            0, 30_000, 30_000, 60_000, 60_000, 90_000, 90_000, 100_000,
        ]  # fmt: skip
    whole = replace(batch, part_paths=100_000)
    assert [part.n_paths for part in whole.parts(Chunk(0, 1))] == [100_000]


def test_parts_say_what_the_whole_says(folder: Path) -> None:
    """Shares exactly, means and errors to rounding, quantiles to the bins that are told."""
    batch = read(folder, GRID, PARTS)
    split = engine.run_batch(batch, folder / "split")
    whole = engine.run_batch(replace(batch, part_paths=100_000), folder / "whole")
    for name in ("p_attain", "p_target"):
        assert np.array_equal(split[name].values, whole[name].values)
    for name in ("revenue", "monthly_revenue", "p_attain"):
        assert split[name].values == pytest.approx(whole[name].values, rel=1e-13)
        assert split[f"{name}_se"].values == pytest.approx(whole[f"{name}_se"].values, rel=1e-9)
    for name in ("revenue_quantiles", "fund_need_quantiles"):
        width = split[f"{name}_bin"].values
        assert np.all(np.abs(split[name].values - whole[name].values) <= width)
        assert np.all(width <= np.maximum(split[name].values, 1200 / 64) / 8000)
        assert f"{name}_bin" not in whole
    assert split["revenue_quantiles_se"].values == pytest.approx(whole["revenue_quantiles_se"].values, rel=0.2)
    assert split["revenue_quantiles_bin"].attrs["units"] == "CNY"
    assert "revenue_p5_bin" in _columns(folder / "split")


def _columns(store: Path) -> list[str]:
    from engine.batch.summary import summary, table

    return list(table(summary(store).dataset))


def _summary(batch: Batch, index: int, rows: np.ndarray) -> Summary:
    """What a worker would say of these numbers."""
    apart = rows - rows[:, :1]
    sums = np.stack([rows[:, :1], apart.sum(axis=1, keepdims=True), (apart**2).sum(axis=1, keepdims=True)])
    part = Part(Chunk(0, 1), index, 4, index * rows.shape[1], rows.shape[1])
    counted = [tally._grid(batch, Chunk(0, 1), "revenue").count(rows[0])]
    return Summary(part, np.array([0]), {}, {"revenue": sums}, {"revenue": counted}, {})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "small.toml").write_text(SMALL)
    batch = read(folder, "", 'base = "small.toml"\nkeep = ["revenue", "revenue_quantiles"]\n')
    return replace(batch, paths=40, part_paths=10)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), order=st.permutations(range(4)), spread=st.floats(0, 1e6))
def test_the_order_in_which_parts_come_is_of_no_matter(tiny: Batch, seed: int, order: list[int], spread: float) -> None:
    rows = 1e6 + spread * np.random.default_rng(seed).normal(size=(1, 40))
    parts = [_summary(tiny, j, rows[:, 10 * j : 10 * j + 10]) for j in range(4)]
    found = []
    for sequence in (range(4), order):
        gathering = Gathering(tiny)
        results = [gathering.add(pickle.loads(pickle.dumps(parts[j]))) for j in sequence]
        assert [result is None for result in results] == [True, True, True, False]
        found.append(results[-1])
    first, other = found
    assert all(np.array_equal(first.values[name], other.values[name]) for name in first.values)
    assert first.values["revenue"][0] == pytest.approx(rows.mean(), rel=1e-12)
    assert first.values["revenue_se"][0] == pytest.approx(rows.std() / np.sqrt(40), rel=1e-6, abs=1e-6)


def test_merging_as_they_come_would_change_bits(tiny: Batch) -> None:
    """Negative control: without the fixed order the property above would not hold."""
    rows = 1e6 + 1e5 * np.random.default_rng(1).normal(size=(20, 1, 40))
    found = []
    for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
        each = [[_summary(tiny, j, of[:, 10 * j : 10 * j + 10]) for j in order] for of in rows]
        merged = [first.followed_by(a).followed_by(b).followed_by(c) for first, a, b, c in each]
        found.append([tally.finished(tiny, replace(m, part=each[0][0].part)).values["revenue"][0] for m in merged])
    assert found[0] == pytest.approx(found[1], rel=1e-14)
    assert found[0] != found[1]


def test_what_is_sent_is_small(folder: Path) -> None:
    """A part is a few numbers; what comes back does not grow with the paths."""
    batch = read(folder, "", LONG)
    part, *_, last = batch.parts(Chunk(0, 1))
    assert len(pickle.dumps(part)) < 300
    few, many = (len(pickle.dumps(Worker(batch).reduce(replace(part, n_paths=n)))) for n in (10_000, 30_000))
    assert many < 1.6 * few < 100_000
    assert len(pickle.dumps(last)) == pytest.approx(len(pickle.dumps(part)), abs=8)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("part_paths = 100", "part_paths: 100: input should be greater than or equal to 4096"),
        ("part_paths = 1e5\npahts = 1", "pahts: unknown key"),
    ],
)
def test_wrong_parts_are_told(folder: Path, text: str, named: str) -> None:
    with pytest.raises(engine.ScenarioError, match=named):
        reading.load(written(folder, text, ""))


def test_other_parts_are_another_batch(folder: Path) -> None:
    engine.run_batch(read(folder, "", PARTS), folder / "store")
    with pytest.raises(engine.StoreError, match="another batch") as error:
        engine.run_batch(read(folder, "", PARTS.replace("30_000", "40_000")), folder / "store", resume=True)
    assert [str(fault) for fault in error.value.faults] == [
        f"{folder / 'store'}: part_paths: 30000 in the store, 40000 now; name another folder"
    ]
    other = replace(read(folder, "", PARTS), part_paths=100_000)
    assert other.identity == replace(other, part_paths=200_000).identity  # more than all paths are all paths


# ----------------------------------------------------------------------------------------------------------- on workers


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    """A batch of split worlds, worked through here."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "small.toml").write_text(SMALL)
    file = written(folder, GRID, LONG)
    return file, engine.run_batch(file, folder / "here")


def test_one_worker_gives_the_same_bits(home: tuple[Path, xr.Dataset], folder: Path) -> None:
    file, here = home
    _, err = command("batch", str(file), "--store", str(folder / "one"), "--dask", "local:1")
    assert err.strip() == ""  # nothing of what Dask notes down
    assert differing(here, engine.open_batch(folder / "one")) == []


def test_four_workers_give_the_same_bits(home: tuple[Path, xr.Dataset], folder: Path, four: Client) -> None:
    file, here = home
    seen: list[tuple[int, int]] = []
    found = engine.run_batch(file, folder / "four", dask=four, progress=lambda *now: seen.append(now))
    assert differing(here, found) == []
    assert seen[-1] == (TOTAL, TOTAL)
    assert len(seen) == 6 * 8
    assert differing(here, engine.run_batch(file, folder / "four", dask="tcp://127.0.0.1:1")) == []  # nothing to do
    other = written(folder, GRID, "seed = 2\n" + LONG)
    assert {"revenue", "revenue_quantiles"} <= set(differing(here, engine.run_batch(other, folder / "seed", dask=four)))


def test_whole_worlds_and_worlds_that_fail(folder: Path, four: Client) -> None:
    text = axes({PROBABILITY: [0.2, 1.2, 0.4, 0.3]}, zipped=True)
    for head in (PARTS, 'base = "small.toml"\npaths = 50_000\nkeep = ["revenue", "revenue_quantiles"]\n'):
        file = written(folder, text, head)
        name = f"{len(head)}"
        found = engine.run_batch(file, folder / f"there{name}", dask=four)
        assert found["state"].values.tolist() == [DONE, FAILED, DONE, DONE]
        assert "1.2 is not between 0 and 1" in found["error"].values[1]
        assert differing(engine.run_batch(file, folder / f"here{name}"), found) == []


class _Stop(Exception):
    pass


def _stop_at(paths: int) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done >= paths:
            raise _Stop

    return report


def test_a_store_moves_between_here_and_there(home: tuple[Path, xr.Dataset], folder: Path, four: Client) -> None:
    file, here = home
    for begin, go_on in ((None, four), (four, None)):
        store = folder / f"begun{begin is None}"
        with pytest.raises(_Stop):
            engine.run_batch(file, store, dask=begin, progress=_stop_at(TOTAL // 2))
        assert 1 <= status(store).done < 6
        assert differing(here, engine.run_batch(file, store, dask=go_on, resume=True)) == []
    assert not four.futures  # nothing of the broken run is left
    assert not any(four.run(lambda dask_worker: [n for n in dask_worker.plugins if "attain" in n]).values())


def test_killed_workers_change_nothing(home: tuple[Path, xr.Dataset], folder: Path, four: Client) -> None:
    """Three of four are killed, each with work in hand, at other moments."""
    file, here = home
    killed: list[tuple[int, int, int]] = []  # process, parts in its hands, paths done

    def kill(done: int, total: int) -> None:
        if len(killed) < 3 and done >= TOTAL / 5 * (1 + len(killed)):
            processes, busy = four.run(os.getpid), four.processing()
            address = max(busy, key=lambda address: len(busy[address]))
            os.kill(processes[address], signal.SIGKILL)
            killed.append((processes[address], len(busy[address]), done))

    found = engine.run_batch(file, folder / "killed", dask=four, progress=kill)
    assert len(killed) == 3
    assert all(parts > 0 and done < TOTAL for _, parts, done in killed), killed
    assert not any(_is_alive(process) for process, *_ in killed)
    assert differing(here, found) == []


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _heed_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_commits_what_is_done(folder: Path) -> None:
    """Ctrl-C in a terminal reaches all processes of the command: none complains, all end."""
    store = folder / "store"
    file = written(folder, "worlds = 20_000", LONG)  # minutes of work, of which seconds are done
    arguments = [sys.executable, "-m", "engine", "batch", str(file), "--store", str(store), "--dask", "local:2"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, preexec_fn=_heed_interrupts,
    ) as child:  # fmt: skip
        while child.poll() is None and not ((store / "worlds.icechunk").exists() and status(store).done):
            time.sleep(0.2)
        os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate()
    assert child.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert flat(err).endswith(f"Go on with: attain batch {file} --store {store} --dask local:2 --resume")
    assert 1 <= status(store).done < 20_000
    assert _is_over_soon(child.pid)


def _is_over_soon(group: int) -> bool:
    """Whether no process of a group is left after a moment."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


# ---------------------------------------------------------------------------------------------------- what can go wrong


@contextmanager
def _process(code: str, *arguments: str, path: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"PYTHONPATH": str(path)}, cwd=path,
    ) as child:  # fmt: skip
        yield child
        child.kill()


SCHEDULER = """
import asyncio
from distributed import Scheduler
async def run():
    async with Scheduler(port=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()
asyncio.run(run())
"""
WORKER = """
import asyncio, sys
from distributed import Worker
async def run():
    async with Worker(sys.argv[1], nthreads=2) as worker:
        await worker.finished()
asyncio.run(run())
"""


@pytest.fixture
def scheduler() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with _process(SCHEDULER) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def test_workers_of_another_version_are_refused(
    folder: Path, scheduler: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose source differs by a space; and before it is there, a scheduler without workers."""
    file, address = written(folder, GRID), scheduler[1]
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "WORKERS_SECONDS", 0.5)
        _, err = command("batch", str(file), "--store", str(folder / "store"), "--dask", address, code=2)
    assert f"{address}: the scheduler has no workers; start some: dask worker {address}" in flat(err)
    shutil.copytree(ROOT / "engine", folder / "other" / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "other" / "engine" / "kernels" / "risks.py").open("a") as changed:
        changed.write("\n")
    with _process(WORKER, address, path=folder / "other"):
        _, err = command("batch", str(file), "--store", str(folder / "store"), "--dask", address, code=2)
    assert "workers whose digits would not fit" in flat(err)
    assert "source: " in flat(err) and "install the same version there" in flat(err)
    assert "Traceback" not in err
    assert not (folder / "store").exists()


def test_a_worker_that_gives_other_digits_is_refused(folder: Path) -> None:
    """Whatever the reason: the first paths are compared. And one that joins late is compared as the others were."""
    batch = read(folder, GRID)
    ours, probe = cluster.identity(), cluster.fingerprint(Worker(batch), batch)
    assert probe == cluster.fingerprint(Worker(pickle.loads(pickle.dumps(batch)), 1), batch)
    assert probe != cluster.fingerprint(Worker(replace(batch, seed=2)), replace(batch, seed=2))
    for theirs, told, named in (
        (ours, "0" * 64, "gives other digits for the same paths"),
        (ours | {"engine_version": "0.0.9"}, probe, "engine_version: "),
    ):
        bench = cluster.Bench(pickle.dumps(batch), 1, theirs, told)
        bench.setup(_Place())
        with pytest.raises(engine.ClusterError, match="digits would not fit") as error:
            bench.reduce(next(batch.parts(Chunk(0, 1))))
        assert named in str(error.value.faults[0])


class _Place:
    address = "tcp://10.0.0.7:40000"


def test_a_scheduler_that_is_lost_costs_nothing_that_was_committed(
    folder: Path, scheduler: tuple[subprocess.Popen[str], str], home: tuple[Path, xr.Dataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)  # for it to come back
    (file, here), (process, address) = home, scheduler
    store = folder / "store"

    def kill(done: int, total: int) -> None:
        if done >= TOTAL // 2:
            process.kill()

    with _process(WORKER, address), pytest.raises(engine.ClusterError, match="connection to the scheduler is lost"):
        engine.run_batch(file, store, dask=address, progress=kill)
    assert 1 <= status(store).done < 6
    assert differing(here, engine.run_batch(file, store, resume=True)) == []


def test_a_part_that_kills_workers_ends_the_run(
    folder: Path, four: Client, home: tuple[Path, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, here = home
    assert four.cluster is not None
    monkeypatch.setattr(four.cluster.scheduler, "allowed_failures", 0)
    with monkeypatch.context() as patch, pytest.raises(engine.ClusterError, match="the end of 1 worker"):
        patch.setattr(cluster, "_reduce", lambda part, bench: os._exit(1))
        engine.run_batch(file, folder / "store", dask=four)
    monkeypatch.undo()
    assert differing(here, engine.run_batch(file, folder / "store", dask=four, resume=True)) == []


def test_whatever_a_worker_does_wrong_is_told(
    folder: Path, four: Client, home: tuple[Path, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_reduce", lambda part, bench: 1 // 0)
    with pytest.raises(engine.ClusterError, match="a worker failed: ZeroDivisionError"):
        engine.run_batch(home[0], folder / "store", dask=four)


def test_without_workers_it_waits_for_others_only_so_long(
    folder: Path, scheduler: tuple[subprocess.Popen[str], str], home: tuple[Path, xr.Dataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (file, here), address, store = home, scheduler[1], folder / "store"
    monkeypatch.setattr(cluster, "_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1.0)
    with _process(WORKER, address) as worker, pytest.raises(engine.ClusterError, match="all workers are gone for 1 s"):
        kill = worker.kill
        engine.run_batch(file, store, dask=address, progress=lambda done, _: kill() if done > TOTAL // 2 else None)
    assert 1 <= status(store).done < 6
    with _process(WORKER, address):
        assert differing(here, engine.run_batch(file, store, dask=address, resume=True)) == []


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("local:0", "--dask: 0 is not between 1 and 256 processes; give local:4 for four processes"),
        ("local:x", "--dask: 'x' is no number of processes"),
        ("local:", "--dask: '' is no number of processes"),
        ("tcp:/foo", "--dask: 'tcp:/foo' is no place to work at"),
        ("tcp://host:99999", "--dask: 99999 is no port"),
        ("10.0.0.1:8786", "--dask: '10.0.0.1:8786' is no place to work at"),
    ],
)
def test_wrong_places_are_told(folder: Path, where: str, named: str) -> None:
    out, err = command("batch", "b.toml", "--store", "s", "--threads", "0", "--dask", where, code=2)
    assert out == ""
    assert named in flat(err)
    assert "--threads: 0 is below 1" in flat(err)  # all faults at once
    with pytest.raises(engine.ClusterError, match="dask: "):
        engine.run_batch(written(folder, GRID), folder / "store", dask=where)
    assert not (folder / "store").exists()


def test_a_scheduler_that_does_not_answer_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    arguments = ["batch", str(written(folder, GRID)), "--store", str(folder / "store"), "--dask", "tcp://127.0.0.1:9"]
    out, err = command(*arguments, code=2)
    assert out == ""
    assert "tcp://127.0.0.1:9: no scheduler answers there within 0.5 s; check the address" in flat(err)
    assert not (folder / "store").exists()
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "needs distributed, which is not installed" in flat(command(*arguments, code=2)[1])
    _, err = command("batch", "--store", "s", "--status", "--dask", "local:2", code=2)
    assert "--dask: there is nothing to simulate; drop it" in flat(err)


def test_a_part_that_is_counted_twice_is_noticed(home: tuple[Path, xr.Dataset]) -> None:
    """Negative control: the same bits are no accident."""
    file, here = home
    batch = reading.load(file)
    worker, chunk = Worker(batch), next(batch.chunks())
    parts = [worker.reduce(part) for part in batch.parts(chunk)]
    twice = [*parts[:-1], replace(parts[0], part=parts[-1].part)]
    gathering = Gathering(batch)
    results = [gathering.add(part) for part in twice]
    assert results[-1] is not None
    assert results[-1].values["revenue"][0] != here["revenue"].values[0]
