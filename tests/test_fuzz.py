"""Mutated scenario files: the engine loads them or says what is wrong; nothing else ever happens."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError, ScenarioError
from engine.scenario import arrays, worlds
from engine.scenario.load import parse, reference_path

REFERENCE = reference_path().read_text(encoding="utf-8")
# Every table and nearly every field of the model, short enough to be built many times.
FEATURES = """
schema = 1
[plan]
name = "All"
currency = "CNY"
start = "2024-03"
months = 6
target = { value = 100e6, source = "plan 1" }
budget = 60e6
phasing = [1, 1, 2, 1, { uniform = [1, 2] }, 1]
[seasons.retail]
weights = [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1]
[demand]
level = { lognormal = [1.0, 1.05], source = "assumption: us" }
volatility = 0.04
persistence = 0.7
noise_correlation = { beta = [2, 5] }
[streams.online]
labels = { channel = "online", product = "mass" }
baseline = { quantiles = { low = 90e6, high = 130e6, "0.5" = 110e6 } }
growth = 0.05
season = "retail"
volatility = 0.06
margin = 0.3
[streams.promax]
labels = { channel = "online", product = "high" }
margin = 0.4
launch = { peak = 5e6, start = 1.5, slip = { pert = [0, 0.5, 3] }, ramp = 2 }
[streams.key]
labels = { channel = "key", segment = "A" }
margin = 0.33
customers = { count = 30, spend = 1e6, churn = 0.15, rescue = 0.3, wins = [0, 0, 2, 1, 1, 1] }
[lines.ads]
amount = 20e6
minimum = 10e6
maximum = 50e6
phasing = "retail"
carryover = 0.3
initial = 1e5
response = { kind = "exponential", ceiling = 0.12, scale = 3e6 }
effectiveness = { triangular = [0.6, 1.0, 1.3] }
reach = { "channel:online" = 1.0, "*" = 0.1 }
[lines.stores]
amount = 10e6
unit = 2e6
phasing = [1, 0, 0, 1, 1, 1]
response = { kind = "hill", ceiling = 0.1, scale = 1e6, slope = 2 }
effectiveness = { samples = [0.8, 1.0, 1.1], per = "world" }
reach = { online = 1.0 }
[lines.pay]
amount = 5e6
[funds.contingency]
amount = 5e6
[risks.price_war]
level = "red"
probability = { uniform = [0.7, 0.9] }
timing = "hazard"
window = [-1, 6]
severity = { pert = [0.05, { uniform = [0.1, 0.15] }, 0.25] }
duration = { lognormal = [2.0, 5.0] }
exposure = { "channel:online" = 2.0, "channel:online&product:high" = 1, "*" = 0.5 }
buffer = { days = 10, share = 0.5 }
deferred = 0.2
release = 0.5
margin_loss = 0.1
churn_multiplier = 2
[risks.price_war.response]
trigger = 0.1
lag_days = 3
effectiveness = { normal = [0.5, 0.2], truncate = [0, 2] }
cost_ratio = 0.15
cost_per_month = 1e4
fund = "contingency"
[risks.faults]
rate = { scipy = { name = "gamma", a = 2.0 } }
max_events = 4
severity = { mixture = [{ weight = 0.7, uniform = [0, 0.1] }, { weight = 0.3, beta = [2, 9] }] }
duration = 0.5
shape = "decay"
[[review.levels]]
lag = 0.1
amount = 1e5
line = "ads"
fund = "contingency"
[[review.levels]]
lag = 0.05
amount = 1e5
[incentives]
streams = "channel:online"
tiers = [[0.8, 0.01], [1.0, 0.015]]
line = "pay"
[correlation]
"risks.price_war.occurs ~ risks.price_war.severity" = 0.4
"demand.level ~ streams.online.baseline" = { uniform = [-0.5, 0.5] }
[targets.online_share]
measure = "revenue"
where = "channel:online"
of = "*"
months = [5, 6]
at_least = 0.5
[targets.left]
measure = "fund_left"
where = "contingency"
at_least = 1
"""
NUMBER = re.compile(r"(?<![\w.\"])-?\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?(?![\w\"])")
WORD = re.compile(r"[A-Za-z_]\w*")
EXTREME = [
    "0",
    "-1",
    "1",
    "1e-300",
    "1e15",
    "-1e15",
    "1e16",
    "1e308",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "12",
    "13",
    "0.999999",
    "1" + "0" * 60,
    "true",
    "[]",
    "{}",
    '""',
    "2024-01-01",
    "{ uniform = [0, 1] }",
    "{ normal = [0, 1] }",
    "{ lognormal = [1e-12, 1e12] }",
    "{ samples = [0, 1, 1] }",
    '{ samples = "no.csv:x" }',
    "{ beta = [1e-3, 1e3] }",
    "{ quantiles = { low = 0, high = 1 } }",
    '{ scipy = { name = "cauchy" } }',
    "{ pert = [0, { uniform = [0, 2] }, 1] }",
    "{ mixture = [{ uniform = [0, 1] }, { normal = [0, 0] }] }",
    '{ value = 1, per = "world" }',
    "[[[[1]]]]",
    "{ uniform = [0, 1], truncate = [0.2, 0.4] }",
]
WORDS = [
    "normal",
    "uniform",
    "world",
    "rest",
    "decay",
    "hazard",
    "rate",
    "launch",
    "customers",
    "baseline",
    "plan",
    "streams",
    "risks",
    "online",
    "nothing",
    "*",
    "even",
    "months",
    "retention",
    "revenue",
    "schema",
    "extends",
    "remove",
    "per",
    "truncate",
    "quantiles",
    "samples",
    "scipy",
    "levels",
    "tiers",
    "A" * 300,
]


@st.composite
def mutated(draw: st.DrawFn, text: str, most: int) -> str:
    """`text` after a few mutations of its lines, numbers and words."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.integers(0, 8))
        line = lines[at]
        if kind == 0:
            lines.pop(at)
        elif kind == 1:
            lines.insert(draw(st.integers(0, len(lines))), line)
        elif kind == 2:
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], line
        elif kind in (3, 4):
            found = list(NUMBER.finditer(line))
            if found:
                hit = draw(st.sampled_from(found))
                lines[at] = line[: hit.start()] + draw(st.sampled_from(EXTREME)) + line[hit.end() :]
        elif kind == 5:
            found = list(WORD.finditer(line))
            if found:
                hit = draw(st.sampled_from(found))
                lines[at] = line[: hit.start()] + draw(st.sampled_from(WORDS)) + line[hit.end() :]
        elif kind == 6:
            lines[at] = line[: draw(st.integers(0, len(line)))]
        elif kind == 7:
            cut = draw(st.integers(0, len(line)))
            lines[at] = line[:cut] + draw(st.text(max_size=8)) + line[cut:]
        else:
            name = ".".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)))
            lines.insert(
                at, draw(st.sampled_from([f"[{name}]", f"[[{name}]]", f"{name} = {draw(st.sampled_from(EXTREME))}"]))
            )
        if not lines:
            break
    return "\n".join(lines)


def attempt(text: str, folder: Path, build: bool) -> bool:
    """Load, draw and build; True where all of it went well."""
    try:
        scenario = parse(text, file="fuzz.toml", folder=folder)
    except ScenarioError as error:
        assert error.faults
        assert all(fault.message and str(fault) for fault in error.faults)
        return False
    assert parse(scenario.resolved_text()).hash == scenario.hash
    try:
        drawn = worlds.draw(scenario, count=3, seed=1)
        if build:
            arrays.build(drawn)
    except EngineError as error:
        assert str(error)
        return False
    return True


HOME = Path(__file__).parent
QUIETLY = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@settings(max_examples=400, **QUIETLY)
@given(text=mutated(FEATURES, most=3))
def test_mutations_of_a_small_file(text: str) -> None:
    attempt(text, folder=HOME, build=True)


@settings(max_examples=100, **QUIETLY)
@given(text=mutated(REFERENCE, most=4))
def test_mutations_of_the_reference(text: str) -> None:
    attempt(text, folder=HOME, build=False)


def test_the_files_that_are_mutated_are_good() -> None:
    assert attempt(FEATURES, folder=HOME, build=True)
    assert attempt(REFERENCE, folder=HOME, build=True)


@settings(max_examples=50, **QUIETLY)
@given(text=st.text(max_size=60))
def test_any_text(text: str) -> None:
    attempt(text, folder=HOME, build=False)


@settings(max_examples=100, **QUIETLY)
@given(
    name=st.one_of(
        st.sampled_from(["review.levels.1.lag", "lines.ads.phasing", "risks.price_war.severity.pert.2.uniform.1"]),
        st.lists(st.sampled_from([*WORDS, "1", "2", "price_war", "ads", "pert", "lines"]), max_size=5).map(".".join),
    ),
    value=st.one_of(st.sampled_from(EXTREME), st.text(max_size=8)),
)
def test_any_change(name: str, value: str) -> None:
    try:
        parse(FEATURES, set=[f"{name}={value}"])
    except EngineError as error:
        assert error.faults
