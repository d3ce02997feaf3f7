"""The generator: a plain reference against published answers, the kernel against the reference."""

from __future__ import annotations

import hashlib

import numpy as np
import oracles
import pytest
from numpy.random import Philox
from small import everything, scenario

from engine.kernels import philox
from engine.scenario import drivers
from engine.scenario.worlds import key

ONES = 0xFFFFFFFF

# Random123, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, words
RANDOM123 = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
# the same at 64 bits
RANDOM123_64 = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
    ),
]


@pytest.mark.parametrize(("counter", "seed", "words"), RANDOM123)
def test_reference_gives_the_known_answers(counter, seed, words) -> None:
    assert oracles.philox4x(counter, seed) == words


@pytest.mark.parametrize(("counter", "seed", "words"), RANDOM123_64)
def test_reference_gives_the_known_answers_at_64_bits(counter, seed, words) -> None:
    assert oracles.philox4x(counter, seed, width=64) == words


@pytest.mark.parametrize("counter", [(0, 0, 0, 0), (41, 7, 2**63, 12345), (2**64 - 2, 1, 2, 3)])
def test_reference_equals_numpy_at_64_bits(counter) -> None:
    seed = (0x0123456789ABCDEF, 0xFEDCBA9876543210)
    theirs = Philox(counter=np.array(counter, np.uint64), key=np.array(seed, np.uint64)).random_raw(4)
    # NumPy counts up before it draws
    ours = oracles.philox4x((counter[0] + 1, *counter[1:]), seed, width=64)
    assert list(ours) == [int(word) for word in theirs]


def test_ten_thousandth_value_of_cpp26() -> None:
    """std::philox4x32, default seed 20111115: the 10000th value is the last word of the 2500th counter."""
    assert oracles.philox4x((2499, 0, 0, 0), (20111115, 0))[3] == 1955073260


def test_a_wrong_round_constant_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    (multipliers, weyl), wide = oracles.PHILOX[32], oracles.PHILOX[64]
    monkeypatch.setattr(oracles, "PHILOX", {32: (multipliers, (weyl[0] + 2, weyl[1])), 64: wide})
    assert oracles.philox4x(*RANDOM123[0][:2]) != RANDOM123[0][2]


def kernel_words(counter: tuple[int, ...], seed: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(word) for word in philox.words(*(np.uint64(word) for word in (*counter, *seed))))


@pytest.mark.parametrize(("counter", "seed", "words"), RANDOM123)
def test_kernel_gives_the_known_answers(counter, seed, words) -> None:
    assert kernel_words(counter, seed) == words


def test_kernel_equals_the_reference() -> None:
    addresses = np.random.default_rng(1).integers(0, 2**32, (200, 6))
    for *counter, low, high in addresses.tolist():
        assert kernel_words(tuple(counter), (low, high)) == oracles.philox4x(tuple(counter), (low, high))


def test_a_word_becomes_the_middle_of_its_cell() -> None:
    block = np.empty((5, 5))
    block[4] = np.arange(3, 8)
    number = drivers.number("demand")
    philox.uniforms(block, 0, 1, 2, 3, 4, 5, 7, number, 2, *key(2**40 + 9))
    for p in range(5):
        expected = [oracles.uniform(2**40 + 9, 7, 3 + p, "demand", 2, slot) for slot in range(4)]
        assert block[:4, p].tolist() == expected


def test_uniforms_are_never_0_or_1() -> None:
    """The words 0 and 2**32 - 1 at the ends of the interval, in the kernel's own arithmetic."""
    first, last = (np.float64(word) + 0.5 for word in (np.uint64(0), np.uint64(ONES)))
    assert 0.0 < first * 2.0**-32 == 2.0**-33
    assert last * 2.0**-32 == 1.0 - 2.0**-33 < 1.0


def test_many_uniforms_keep_inside_and_are_level() -> None:
    rows = np.empty((5, 250_000))
    rows[4] = np.arange(rows.shape[1])
    philox.uniforms(rows, 0, 1, 2, 3, 4, rows.shape[1], 1, drivers.number("noise"), 0, *key(1))
    block = rows[:4]
    assert block.min() >= 2.0**-33
    assert block.max() <= 1.0 - 2.0**-33
    # n = 1e6, se of the mean 2.9e-4, of each of 64 cells 1.2e-4: catches a bias of 0.2 %, or a cell off by 5 %
    assert abs(block.mean() - 0.5) < 5 * np.sqrt(1 / 12 / block.size)
    cells = np.bincount((block.ravel() * 64).astype(int), minlength=64) / block.size
    assert abs(cells - 1 / 64).max() < 5 * np.sqrt(63 / 64**2 / block.size)
    # slots of a block: four draws without correlation; n = 250 000, se 0.002, catches 0.012
    between = np.corrcoef(block)[np.triu_indices(4, 1)]
    assert abs(between).max() < 5 / np.sqrt(block.shape[1])


def test_both_halves_of_a_seed_count() -> None:
    assert [int(half) for half in key(2**32 + 5)] == [5, 1]
    assert oracles.uniform(5, 1, 0, "demand", 0, 0) != oracles.uniform(2**32 + 5, 1, 0, "demand", 0, 0)


@pytest.mark.parametrize("name", ["demand", "noise", "risks.price_war", "streams.key_a.customers.lost"])
def test_drivers_numbers_are_a_stable_hash(name: str) -> None:
    expected = int.from_bytes(hashlib.blake2s(name.encode(), digest_size=4).digest(), "little")
    assert drivers.number(name) == expected == oracles.driver_number(name)


def test_a_drivers_number_never_changes() -> None:
    """A stored result could not be repeated otherwise."""
    assert drivers.number("demand") == 0xA4928929


def test_all_drivers_of_a_scenario_differ() -> None:
    names = drivers.of_paths(scenario(*everything()))
    assert len(names) == len(set(names))
    assert drivers.collisions(names) == []


def test_collisions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "number", lambda name: len(name))
    assert drivers.collisions(["abc", "de", "fgh"]) == [("fgh", "abc")]
