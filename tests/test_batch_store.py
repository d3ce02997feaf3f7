"""The store of a batch survives what happens to it: kills, a second writer, full and read-only disks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import icechunk
import numpy as np
import pytest
from batches import GRID, MANY, MODE, PROBABILITY, ROOT, SMALL, axes, differing, read, written
from test_cli import run as command

import engine
from engine.batch import layout, tally
from engine.batch.export import export
from engine.batch.store import DONE, FAILED, MISSING, Store, writing
from engine.batch.summary import status


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def test_a_world_that_cannot_be_is_recorded_and_the_rest_goes_on(folder: Path) -> None:
    amount = "lines.ads.amount"
    bad = {PROBABILITY: [0.2, 1.2, 0.4, 0.4, 0.5], MODE: [0.2, 0.2, 0.6, 0.2, 0.2], amount: [10, 10, 10, 95, 10]}
    text = axes(bad, zipped=True)
    found = engine.run_batch(written(folder, text), folder / "store")
    assert found["state"].values.tolist() == [DONE, FAILED, FAILED, FAILED, DONE]
    assert [bool(text) for text in found["error"].values] == [False, True, True, True, False]
    assert "1.2 is not between 0 and 1" in found["error"].values[1]
    assert "mode 0.6 exceeds high 0.5" in found["error"].values[2]
    assert "lines and funds sum to 5 CNY more than the budget" in found["error"].values[3]
    assert not any("world 0" in text for text in found["error"].values)
    assert np.isnan(found["revenue"].values).tolist() == [False, True, True, True, False]
    assert found[PROBABILITY].values[1] == 1.2
    good = axes({knob: [values[0], values[4]] for knob, values in bad.items()}, zipped=True)
    alone = engine.run_batch(written(folder, good), folder / "good")
    assert np.array_equal(alone["revenue"].values, found["revenue"].values[[0, 4]])
    told = status(folder / "store")
    assert (told.done, told.failed, told.missing, told.is_finished) == (2, 3, 0, True)
    assert [world for world, _ in told.errors] == [1, 2, 3]
    text, _ = command("batch", str(folder / "batch.toml"), "--store", str(folder / "store"), code=2)


def test_rates_beyond_what_is_simulated_fail(folder: Path) -> None:
    (folder / "small.toml").write_text(SMALL.replace('"probability" = { "uniform" = [0.2, 0.6] }', '"rate" = 1.0'))
    found = engine.run_batch(
        written(folder, 'axes = [{ knob = "risks.strike.rate", values = [2, 8] }]'), folder / "store"
    )
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


def test_an_interrupt_commits_what_is_done_and_resuming_gives_the_same_bits(folder: Path) -> None:
    file, store = written(folder, MANY, ""), folder / "store"
    whole = engine.run_batch(file, folder / "whole")
    with pytest.raises(_Stop):
        engine.run_batch(
            file, store, progress=stopping(after=6)
        )  # twice a chunk: when its paths and when its sums are done
    partial = engine.open_batch(store)
    assert partial["state"].values.tolist() == [DONE] * 6 + [MISSING] * 4
    assert np.isnan(partial["revenue"].values[6:]).all()
    assert partial[PROBABILITY].values[9] == 0.6  # what is set is known beforehand
    with pytest.raises(engine.StoreError, match="6 of 10 worlds; go on with --resume"):
        engine.run_batch(file, store)
    seen: list[tuple[int, int]] = []
    found = engine.run_batch(file, store, resume=True, progress=lambda *now: seen.append(now))
    assert seen[-1] == (4 * 60_000, 4 * 60_000)  # only what was missing
    assert differing(whole, found) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally.Worker, "simulate", None)  # finished: nothing is simulated
        assert differing(whole, engine.run_batch(file, store)) == []


def test_another_batch_is_refused_and_what_differs_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = folder / "store"
    engine.run_batch(written(folder, GRID), store)
    engine.run_batch(written(folder, "# only a remark\n" + GRID), store)
    for text, head, named in [
        ("seed = 2" + GRID, 'base = "small.toml"\npaths = 500\n', ["seed: 1 in the store, 2 now"]),
        (GRID, 'base = "small.toml"\npaths = 400\nworlds = 2\n', ["paths: 500 in the store, 400 now", "worlds: 1 in"]),
        (GRID.replace("0.5", "0.6"), 'base = "small.toml"\npaths = 500\n', ["points of the design are others"]),
        ('keep = ["revenue"]' + GRID, 'base = "small.toml"\npaths = 500\n', ["keep: p_attain revenue"]),
    ]:
        with pytest.raises(engine.StoreError) as error:
            engine.run_batch(written(folder, text, head), store, resume=True)
        assert [part for part in named if part not in " ".join(map(str, error.value.faults))] == []
    (folder / "small.toml").write_text(SMALL.replace("20.0", "21.0"))
    with pytest.raises(engine.StoreError, match="another batch") as error:
        engine.run_batch(written(folder, GRID), store, resume=True)
    assert [fault.knob for fault in error.value.faults] == ["scenario"]
    (folder / "small.toml").write_text(SMALL)
    monkeypatch.setattr("engine.batch.design.versions", lambda: layout.versions() | {"engine_version": "0.0.9"})
    with pytest.raises(engine.StoreError) as error:
        engine.run_batch(written(folder, GRID), store)
    assert [fault.knob for fault in error.value.faults] == ["engine_version"]


# Says so whenever it has got further, twice a chunk, and commits after every chunk.
CHILD = """
import sys, engine
def report(done, total):
    print(done, flush=True)
engine.run_batch(sys.argv[1], sys.argv[2], resume=True, commit_seconds=0.0, progress=report)
"""


def survive(file: Path, folder: Path, kills: int) -> list[int]:
    """Go on with a batch, killed at random moments again and again, and prove the finished stores.

    A moment is some word of progress and up to a tenth of a second more, in which a chunk is simulated or committed. A
    store that is finished gives way to a new one. Returns how many worlds were found after each kill.
    """
    rng, found, number = random.Random(kills), list[int](), 0
    whole = engine.run_batch(file, folder / "whole")
    while len(found) < kills:
        store = folder / f"store{number}"
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file), str(store)], stdout=subprocess.PIPE, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        ) as child:  # fmt: skip
            assert child.stdout is not None
            for _ in range(rng.randrange(16)):
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
    assert differing(whole, engine.run_batch(file, folder / f"store{number}", resume=True)) == []
    return found


LONG = 'base = "small.toml"\npaths = 65_536\nworlds = 24\nkeep = ["revenue", "p_attain", "revenue_quantiles"]\n'


def test_kills_cost_nothing_but_time(folder: Path) -> None:
    found = survive(written(folder, "", LONG), folder, kills=4)
    assert any(0 < worlds < 24 for worlds in found), found  # some of them struck in the middle of the work


@pytest.mark.slow
def test_many_kills_cost_nothing_but_time(folder: Path) -> None:
    found = survive(written(folder, "", LONG), folder, kills=20)
    assert sum(0 < worlds < 24 for worlds in found) >= 5, found


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
            engine.run_batch(batch, store)
        child.kill()
        child.wait()
    engine.run_batch(batch, store)  # a killed process leaves no lock behind
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
    whole = engine.run_batch(file, folder / "whole")
    with pytest.raises(_Stop):
        engine.run_batch(file, store, progress=stopping(after=4))
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(bytes(free - 8192))
    with pytest.raises(engine.StoreError, match=r"No space left on device.*go on with --resume"):
        engine.run_batch(file, store, resume=True, commit_seconds=0.0)
    assert engine.open_batch(store)["state"].values[:4].tolist() == [DONE] * 4
    ballast.unlink()
    assert differing(whole, engine.run_batch(file, store, resume=True)) == []


def test_a_read_only_store_can_be_read(folder: Path, small_disk: Path) -> None:
    file, store = written(folder, MANY, ""), small_disk / "store"
    with pytest.raises(_Stop):
        engine.run_batch(file, store, progress=stopping(after=4))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for place in (store, small_disk / "new"):
        with pytest.raises(engine.StoreError, match="Read-only file system"):
            engine.run_batch(file, place, resume=True)
    assert status(store).done == 4
    assert export(store, folder / "out.csv").exists()


def test_a_commit_that_fails_is_an_error_of_the_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk, wherever it is met: the storage says so, and the store stays as it was."""
    file, store = written(folder, MANY, ""), folder / "store"
    with pytest.raises(_Stop):
        engine.run_batch(file, store, progress=stopping(after=4))

    def full(*_: object, **__: object) -> None:
        raise icechunk.IcechunkError("  x session error: No space left on device (os error 28)\n  | \n  | context:")

    with monkeypatch.context() as patch:
        patch.setattr(icechunk.Session, "commit", full)
        with pytest.raises(engine.StoreError, match=r"cannot write the store: No space left on device; what"):
            engine.run_batch(file, store, resume=True)
    assert status(store).done == 4


def test_folders_that_hold_something_else_are_left_alone(folder: Path) -> None:
    with pytest.raises(engine.StoreError, match="holds other files, such as"):
        engine.run_batch(written(folder, GRID), folder)
    with pytest.raises(engine.StoreError, match="holds no store"):
        engine.open_batch(folder)
    (folder / "broken" / "worlds.icechunk").mkdir(parents=True)
    with pytest.raises(engine.StoreError, match="cannot read this store"):
        engine.open_batch(folder / "broken")
    half = folder / "half" / ".new"  # what a kill leaves that came before there was a store
    half.mkdir(parents=True)
    (half / "chunks").mkdir()
    assert (engine.run_batch(written(folder, GRID), folder / "half")["state"] == DONE).all()
    assert not half.exists()
