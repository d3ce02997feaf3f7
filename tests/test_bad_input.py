"""Bad input: every fault names file, knob, value and bound, and says what to do; the command line ends with 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import engine
from engine.cli import app
from engine.errors import ScenarioError
from engine.scenario import worlds
from engine.scenario.load import load, parse

GOOD = """
[plan]
target = 100e6
[streams.shop]
labels = { channel = "online", product = "light" }
baseline = 100e6
margin = 0.3
[streams.key]
labels = { channel = "key" }
customers = { count = 10, spend = 1e6 }
margin = 0.3
[lines.ads]
amount = 5e6
[funds.reserve]
amount = 1e6
[seasons.retail]
weights = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
"""
RISK = """
[risks.war]
probability = 0.5
severity = 0.1
duration = 2
"""
TWO = RISK + RISK.replace("war", "slump")
THREE = TWO + RISK.replace("war", "delay")
runner = CliRunner()


def more(text: str) -> str:
    return GOOD + text


def changed(old: str, new: str, extra: str = "") -> str:
    assert old in GOOD + extra
    return (GOOD + extra).replace(old, new, 1)


# The text of a file, and what the message must say.
BAD = {
    "no plan": ("[streams.a]\nmargin = 0.3\nbaseline = 1", ["plan", "is missing"]),
    "no target": (changed("target = 100e6", ""), ["plan.target", "is missing"]),
    "no stream": ("plan.target = 1", ["streams", "there is no stream of revenue", "add one"]),
    "wrong type": (changed("target = 100e6", 'target = "many"'), ["plan.target", "'many' is not a number", "give"]),
    "a list for a number": (changed("amount = 5e6", "amount = [5e6]"), ["lines.ads.amount", "is not a number"]),
    "a date for a number": (changed("amount = 5e6", "amount = 2024-01-01"), ["lines.ads.amount", "is not a number"]),
    "a number for a table": (more("[risks]\nwar = 3"), ["risks.war", "3 is not a table"]),
    "a number for text": (changed("target = 100e6", "target = 1\nname = 3"), ["plan.name", "3 is not text", "quotes"]),
    "months in halves": (changed("target = 100e6", "target = 1\nmonths = 12.5"), ["plan.months", "12.5", "whole"]),
    "no months": (
        changed("target = 100e6", "target = 1\nmonths = 0"),
        ["plan.months", "0", "greater than or equal to 1"],
    ),
    "unknown key": (changed("margin = 0.3", "margni = 0.3"), ["streams.shop.margni", "unknown key", "margin?"]),
    "the beginning of a key": (changed("margin = 0.3", "marg = 0.3"), ["streams.shop.marg", "did you mean margin?"]),
    "unknown table": (more("[strems.a]\nmargin = 1"), ["strems", "unknown key", "did you mean streams?"]),
    "unknown word in a quantity": (
        changed("amount = 5e6", "amount = { valeu = 5e6 }"),
        ["lines.ads.amount.valeu", "value?"],
    ),
    "bad TOML": ("[plan]\ntarget = = 3", ["not TOML", "line 2"]),
    "a key twice": ("[plan]\ntarget = 3\ntarget = 4\nmonths = 12", ["not TOML", "line 3"]),
    "too deep": ("a" + ".a" * 3000 + " = 1", ["levels deep"]),
    "NaN": (changed("baseline = 100e6", "baseline = nan"), ["streams.shop.baseline", "nan is not a finite number"]),
    "infinite": (changed("amount = 5e6", "amount = inf"), ["lines.ads.amount", "inf is not a finite number"]),
    "too large": (changed("amount = 5e6", "amount = 1e16"), ["lines.ads.amount", "1e+16 is larger than 1e+15"]),
    "negative money": (changed("amount = 5e6", "amount = -5e6"), ["lines.ads.amount", "-5000000", "at least 0", "CNY"]),
    "no target to reach": (changed("target = 100e6", "target = 0"), ["plan.target", "0 is not above 0"]),
    "growth": (changed("baseline = 100e6", "baseline = 1\ngrowth = -1"), ["streams.shop.growth", "above -1"]),
    "churn": (changed("spend = 1e6", "spend = 1, churn = 1"), ["streams.key.customers.churn", "1 is not", "below 1"]),
    "probability": (
        changed("probability = 0.5", "probability = 1.2", RISK),
        ["risks.war.probability", "1.2 is not between 0 and 1"],
    ),
    "probability drawn": (
        changed("probability = 0.5", "probability = { uniform = [0.5, 1.2] }", RISK),
        ["risks.war.probability", "from 0.5 to 1.2 are not between 0 and 1", "truncate = [0, 1]"],
    ),
    "severity without truncate": (
        changed("severity = 0.1", "severity = { normal = [0.1, 0.05] }", RISK),
        ["risks.war.severity", "values from -inf to inf are not at least 0", "add truncate = [0, b]"],
    ),
    "samples on a bound that is excluded": (
        changed("spend = 1e6", "spend = 1, churn = { samples = [0.1, 1.0] }"),
        ["streams.key.customers.churn", "from 0.1 to 1 are not at least 0 and below 1", "leave out 1"],
    ),
    "quantiles that stay on a bound": (
        changed("spend = 1e6", 'spend = 1, churn = { quantiles = { low = 0, "0.5" = 1, high = 1 } }'),
        ["streams.key.customers.churn", "leave out 1, which would occur"],
    ),
    "slip": (
        more("[streams.a]\nmargin = 0\nlaunch = { peak = 1, slip = { uniform = [-1, 1] } }"),
        ["streams.a.launch.slip", "from -1 to 1", "at least 0", "truncate"],
    ),
    "weights": (changed("weights = [1, ", "weights = ["), ["seasons.retail.weights", "11 weights", "give 12"]),
    "weights of 0": (changed("[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", str([0] * 12)), ["retail.weights", "sum to 0"]),
    "phasing": (
        changed("amount = 5e6", "amount = 5e6\nphasing = [1, 2]"),
        ["lines.ads.phasing", "2 weights", "give 12"],
    ),
    "plan's phasing": (
        changed("target = 100e6", "target = 1\nphasing = [1]"),
        ["plan.phasing", "1 weights", "give 12"],
    ),
    "wins": (
        changed("spend = 1e6", "spend = 1, wins = [1, 2]"),
        ["streams.key.customers.wins", "2 numbers", "give 12"],
    ),
    "no match": (
        more(RISK + 'exposure = { "chanel:online" = 1 }'),
        ["risks.war.exposure.chanel:online", "matches no stream", "did you mean channel:online?"],
    ),
    "no selector": (more(RISK + "exposure = { shpo = 1 }"), ["'shpo' is neither a stream", "did you mean shop?"]),
    "tie": (
        more(RISK + 'exposure = { "channel:online" = 1, "product:light" = 2 }'),
        ["risks.war.exposure", "'channel:online' and 'product:light' both match the stream shop", "more specific"],
    ),
    "reach": (
        changed("amount = 5e6", 'amount = 5e6\nreach = { "a:b" = 1 }'),
        ["lines.ads.reach.a:b", "matches no stream"],
    ),
    "not positive semi-definite": (
        more(
            THREE + '[correlation]\n"risks.war.occurs ~ risks.slump.occurs" = 0.9\n'
            '"risks.slump.occurs ~ risks.delay.occurs" = 0.9\n"risks.war.occurs ~ risks.delay.occurs" = -0.9'
        ),
        ["correlation", '"risks.war.occurs ~ risks.slump.occurs" = 0.9', "the nearest valid ones are", "= -0.482"],
    ),
    "pair twice": (
        more(
            TWO + '[correlation]\n"risks.war.occurs ~ risks.slump.occurs" = 0.3\n'
            '"risks.slump.occurs ~ risks.war.occurs" = 0.3'
        ),
        ["correlation.risks.slump.occurs ~ risks.war.occurs", "this pair stands twice"],
    ),
    "no pair": (more('[correlation]\n"risks.war.occurs" = 0.3'), ["not a pair of names", "first ~ second"]),
    "a pair of one": (more(RISK + '[correlation]\n"risks.war.occurs ~ risks.war.occurs" = 1'), ["paired with itself"]),
    "correlation of 2": (
        more(TWO + '[correlation]\n"risks.war.occurs ~ risks.slump.occurs" = 2'),
        ["2 is not between -1 and 1"],
    ),
    "driver with knob": (
        more(
            RISK + '[demand]\nlevel = { lognormal = [1, 1.1] }\n[correlation]\n"risks.war.occurs ~ demand.level" = 0.3'
        ),
        ["risks.war.occurs is drawn on every path, demand.level once a world", "pair two drivers"],
    ),
    "unknown driver": (
        more(TWO + '[correlation]\n"risks.war.occurs ~ risks.slmp.occurs" = 0.3'),
        ["there is no risk slmp", "remove this correlation too, or did you mean risks.slump.occurs?"],
    ),
    "correlation of a risk that is gone": (
        more(TWO + '[correlation]\n"risks.war.occurs ~ risks.supply_delay.occurs" = 0.3'),
        ["there is no risk supply_delay; remove this correlation too"],
    ),
    "correlation of a line and a stream that are gone": (
        more(RISK + '[correlation]\n"lines.radio.effectiveness ~ streams.kiosk.launch.slip" = 0.3'),
        ["there is no line radio; remove", "there is no stream kiosk; remove this correlation too"],
    ),
    "unknown part of a driver": (
        more(TWO + '[correlation]\n"risks.war.occurs ~ risks.slump.ocurs" = 0.3'),
        ["risks.slump.ocurs", "neither a driver nor a knob", "risks.slump.occurs?"],
    ),
    "occurs with a rate": (
        more(TWO.replace("probability", "rate", 1) + '[correlation]\n"risks.war.occurs ~ risks.slump.occurs" = 0.3'),
        ["risks.war.occurs needs a risk with a probability"],
    ),
    "budget": (
        changed("target = 100e6", "target = 100e6\nbudget = 5e6"),
        ["plan.budget", "sum to 6,000,000", "1,000,000 above the budget of 5,000,000 CNY", "raise the budget"],
    ),
    "unknown fund": (
        more(RISK + 'response = { effectiveness = 1, fund = "reserv" }'),
        ["risks.war.response.fund", "no fund is called 'reserv'", "did you mean reserve?"],
    ),
    "unknown line": (
        more('[[review.levels]]\nlag = 0.1\nline = "adds"'),
        ["review.levels.1.line", "no line is called 'adds'", "did you mean ads?"],
    ),
    "unknown season": (
        changed("margin = 0.3", 'margin = 0.3\nseason = "retial"'),
        ["streams.shop.season", "no season is called 'retial'", "did you mean retail?"],
    ),
    "unknown phasing": (
        changed("amount = 5e6", 'amount = 1\nphasing = "odd"'),
        ["lines.ads.phasing", "no season is called"],
    ),
    "quantiles that fall": (
        changed("amount = 5e6", 'amount = { quantiles = { low = 0, high = 9, "0.5" = 3, "0.9" = 2 } }'),
        ["lines.ads.amount", "0.5 = 3 exceeds 0.9 = 2"],
    ),
    "wrong order": (
        changed("duration = 2", "duration = { pert = [3, 2, 4] }", RISK),
        ["risks.war.duration", "low 3", "mode 2"],
    ),
    "no CSV": (
        changed("amount = 5e6", 'amount = { samples = "none.csv:x" }'),
        ["lines.ads.amount.samples", "none.csv: no such file", "relative to the file that names it"],
    ),
    "no column": (
        changed("amount = 5e6", 'amount = { samples = "data.csv:y" }'),
        ["data.csv has no column 'y'", "its columns are x, words"],
    ),
    "no column named": (
        changed("amount = 5e6", 'amount = { samples = "data.csv" }'),
        ["names no column", "file.csv:column"],
    ),
    "words in a column": (
        changed("amount = 5e6", 'amount = { samples = "data.csv:words" }'),
        ["column 'words'", "give numbers"],
    ),
    "a binary CSV": (changed("amount = 5e6", 'amount = { samples = "binary.csv:x" }'), ["binary.csv cannot be read"]),
    "certain hazard": (
        changed("probability = 0.5", 'probability = 1\ntiming = "hazard"', RISK),
        ["risks.war.probability", "a constant hazard cannot be certain", "below 1"],
    ),
    "decay to the end": (
        changed("duration = 2", 'duration = "rest"\nshape = "decay"', RISK),
        ["risks.war.duration", 'cannot last the "rest"', "give its time constant"],
    ),
    "too many events": (
        changed("probability = 0.5", "rate = 4", RISK),
        ["risks.war.rate", "% of paths have more than 6 occurrences", "max_events (at most 12)"],
    ),
    "max_events": (
        changed("probability = 0.5", "rate = 1\nmax_events = 13", RISK),
        ["risks.war.max_events", "13", "12"],
    ),
    "max_events with a probability": (
        changed("severity = 0.1", "severity = 0.1\nmax_events = 2", RISK),
        ["goes with a rate"],
    ),
    "timing with a rate": (
        changed("probability = 0.5", 'rate = 1\ntiming = "hazard"', RISK),
        ["risks.war.timing", "goes with a probability"],
    ),
    "probability and rate": (
        changed("severity = 0.1", "severity = 0.1\nrate = 1", RISK),
        ["risks.war", "side by side"],
    ),
    "neither of them": (changed("probability = 0.5", "", RISK), ["risks.war", "neither probability nor rate"]),
    "no severity": (changed("severity = 0.1", "", RISK), ["risks.war.severity", "is missing"]),
    "no duration": (changed("duration = 2", "", RISK), ["risks.war.duration", "is missing"]),
    "no effectiveness": (
        more(RISK + "response = { lag_days = 3 }"),
        ["risks.war.response.effectiveness", "is missing"],
    ),
    "no margin": (changed("margin = 0.3", ""), ["streams.shop.margin", "is missing"]),
    "a word for a duration": (
        changed("duration = 2", 'duration = "long"', RISK),
        ["risks.war.duration", "'long'", "'rest'"],
    ),
    "a word for a level": (more(RISK + 'level = "purple"'), ["risks.war.level", "'purple' is not known", "'red'"]),
    "minimum above maximum": (
        changed("amount = 5e6", "amount = 5e6\nminimum = 40e6\nmaximum = 25e6"),
        ["lines.ads", "minimum 40,000,000 exceeds maximum 25,000,000 CNY"],
    ),
    "months outside": (
        more('[targets.a]\nmeasure = "revenue"\nmonths = [0, 13]\nat_least = 1'),
        ["targets.a.months", "month 13 is not in 1 to 12", "month 0"],
    ),
    "two bounds": (more('[targets.a]\nmeasure = "revenue"\nat_least = 1\nat_most = 2'), ["targets.a", "side by side"]),
    "no measure": (more("[targets.a]\nat_least = 1"), ["targets.a.measure", "is missing"]),
    "months of a fund": (more('[targets.a]\nmeasure = "fund_left"\nmonths = [1]\nat_least = 1'), ["takes no months"]),
    "customers of a shop": (
        more('[targets.a]\nmeasure = "retention"\nwhere = "shop"\nat_least = 0.9'),
        ["targets.a.where", "no stream that 'shop' matches counts customers"],
    ),
    "target called revenue": (
        more('[targets.revenue]\nmeasure = "revenue"\nat_least = 1'),
        ["is implied by plan.target"],
    ),
    "bad start": (
        changed("target = 100e6", 'target = 1\nstart = "2024-13"'),
        ["plan.start", "'2024-13' is no month", "2024-01"],
    ),
    "start as a date": (changed("target = 100e6", "target = 1\nstart = 2024-01-01"), ["plan.start", "is not text"]),
    "two origins": (
        changed("baseline = 100e6", "baseline = 100e6\nlaunch = { peak = 1 }"),
        ["streams.shop", "baseline and launch stand side by side", "exactly one"],
    ),
    "no origin": (
        changed("baseline = 100e6", ""),
        ["streams.shop", "neither baseline nor launch nor customers is given"],
    ),
    "id with a dot": (
        more('[lines."a.b"]\namount = 1'),
        ["lines.a.b", "'a.b' cannot be a name", "no space and none of"],
    ),
    "id with a space": (more('[funds."a b"]\namount = 1'), ["funds.a b", "'a b' cannot be a name"]),
    "label with a colon": (
        changed('"light"', '"li:ght"'),
        ["streams.shop.labels.product", "'li:ght' cannot be a value"],
    ),
    "window": (changed("duration = 2", "duration = 2\nwindow = [6, 3]", RISK), ["risks.war.window", "6 lies after 3"]),
    "window of three": (
        changed("duration = 2", "duration = 2\nwindow = [1, 2, 3]", RISK),
        ["too many items", "give 2"],
    ),
    "window of one": (
        changed("duration = 2", "duration = 2\nwindow = [1]", RISK),
        ["risks.war.window", "too few items"],
    ),
    "levels alike": (
        more("[review]\nlevels = [{ lag = 0.1 }, { lag = 0.1 }]"),
        ["review.levels.2.lag", "two levels act"],
    ),
    "tiers": (
        more("[incentives]\ntiers = [[1, 0.1], [0.8, 0.2]]"),
        ["incentives.tiers.2", "0.8, not above 1 before it"],
    ),
    "nested order": (
        changed("severity = 0.1", "severity = { pert = [0.3, { uniform = [0.1, 0.2] }, 0.4] }", RISK),
        ["risks.war.severity", "in world 0: pert: low 0.3 exceeds mode 0.15", "in every world"],
    ),
    "nested range": (
        changed("probability = 0.5", "probability = { normal = [{ uniform = [2, 3] }, 0] }", RISK),
        ["risks.war.probability", "in world 0: 2.5 is not between 0 and 1", "truncate = [0, 1]"],
    ),
    "remove what is not there": (
        GOOD.replace("[plan]", 'remove = ["risks.war"]\n[plan]', 1),
        ["remove", "has no risks.war"],
    ),
    "remove a number": (GOOD.replace("[plan]", "remove = [3]\n[plan]", 1), ["remove", "not a list of names"]),
    "extends a number": (GOOD.replace("[plan]", "extends = 3\n[plan]", 1), ["extends", "3 is not the name of a file"]),
    "extends nothing": ('extends = "refernce.toml"', ["refernce.toml", "no such file"]),
    "extends odd names": ('extends = "a\\u0000b"', ["cannot be read"]),
    "extends itself": ('extends = "bad.toml"', ["extends", "a loop: bad.toml -> bad.toml"]),
    "schema 2": (GOOD.replace("[plan]", "schema = 2\n[plan]", 1), ["schema", "2 is not known"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data.csv").write_text("x,words\n1,one\n2,two\n")
    (tmp_path / "binary.csv").write_bytes(b"x\n\xff\xfe\x00\n")
    return tmp_path


def validate(*arguments: object, code: int = 2) -> tuple[str, str]:
    result = runner.invoke(app, ["validate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stdout, result.stderr


def test_the_file_that_is_spoilt_is_good(folder: Path) -> None:
    for text in (GOOD, more(THREE), changed("amount = 5e6", 'amount = { samples = "data.csv:x" }')):
        (folder / "good.toml").write_text(text)
        validate(folder / "good.toml", code=0)


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, folder: Path) -> None:
    text, parts = BAD[name]
    file = folder / "bad.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(file)
    message = str(caught.value)
    for part in parts:
        assert part in message
    named = "refernce.toml" if name == "extends nothing" else "b: " if name == "extends odd names" else "bad.toml: "
    assert all(named in str(fault) for fault in caught.value.faults)
    assert all(len(str(fault)) < 1000 for fault in caught.value.faults)
    out, err = validate(file)
    assert out == ""
    assert all(part in " ".join(err.split()) for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            THREE + '[correlation]\n"risks.war.occurs ~ risks.slump.occurs" = { uniform = [0, 1] }\n'
            '"risks.slump.occurs ~ risks.delay.occurs" = 0.8',
            ["correlation: in world", '"risks.slump.occurs ~ risks.delay.occurs" = 0.8; the nearest valid ones are'],
        ),
        (
            RISK.replace("probability = 0.5", "probability = { samples = [0.5, 1.0] }") + 'timing = "hazard"',
            ["risks.war.probability: in world", "keep the probability below 1"],
        ),
    ],
)
def test_what_breaks_in_some_world_is_named_with_it(text: str, parts: list[str]) -> None:
    scenario = engine.parse(more(text))
    engine.simulate(scenario, paths=10, worlds=1)
    with pytest.raises(ScenarioError) as caught:
        engine.simulate(scenario, paths=100, worlds=100)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize("name", ["paths", "worlds", "seed", "threads"])
def test_sizes_that_are_not_whole_are_named(name: str) -> None:
    with pytest.raises(engine.SimulationError, match=rf"^{name}: 1.5 is not a whole number"):
        engine.simulate(engine.parse(GOOD), **{name: 1.5})
    assert engine.simulate(engine.parse(GOOD), **{name: np.int64(1)}).sizes["path"] > 0


def test_names_of_columns_may_stand_apart(folder: Path) -> None:
    (folder / "spaced.csv").write_text("week, amount\n1, 4e6\n2,\n3, 6e6\n")
    (folder / "good.toml").write_text(changed("amount = 5e6", 'amount = { samples = "spaced.csv:amount" }'))
    found = engine.load(folder / "good.toml")
    assert found.lines["ads"].amount.distribution.data == (4e6, 6e6)


@pytest.mark.parametrize(
    "persistence",
    ['{ quantiles = { low = 0.1, "0.5" = 0.9, high = 1 } }', "{ beta = [2, 0.5] }", "{ uniform = [0.99999999, 1] }"],
)
def test_a_bound_that_is_excluded_may_be_an_end_that_is_never_drawn(persistence: str) -> None:
    engine.simulate(engine.parse(more(f"[demand]\npersistence = {persistence}")), paths=1000, worlds=1000)


def test_files_that_are_none(folder: Path) -> None:
    binary, empty = folder / "binary.toml", folder / "empty.toml"
    binary.write_bytes(b"\x00\xff\xfe")
    empty.touch()
    (folder / "plan.toml").write_text(GOOD)
    for place, parts in [
        (folder, ["not a file"]),
        (binary, ["binary.toml", "not UTF-8"]),
        (empty, ["empty.toml", "plan", "is missing"]),
        (folder / "plam.toml", ["plam.toml", "no such file", "did you mean", "plan.toml?"]),
        (folder / "none" / "x.toml", ["no such file", "check the path"]),
        (folder / ("x" * 300 + ".toml"), ["cannot be read"]),
        (folder / "plan.toml" / "x.toml", ["cannot be read"]),
    ]:
        with pytest.raises(ScenarioError) as caught:
            load(place)
        assert all(part in str(caught.value) for part in parts), str(caught.value)
        assert all(part in " ".join(validate(place)[1].split()) for part in parts)


def test_eight_faults_are_eight_lines(folder: Path) -> None:
    file = folder / "bad.toml"
    file.write_text(
        more(
            """
[streams.shop2]
labels = { channel = "online" }
baseline = -1
margni = 0.3
margin = 0.3
[lines.tv]
amount = "much"
minimum = 3
maximum = 2
[risks.war]
probability = 1.2
severity = { pert = [3, 2, 1] }
duration = "long"
exposure = { "channel:none" = 1 }
"""
        )
    )
    with pytest.raises(ScenarioError) as caught:
        load(file)
    knobs = [fault.knob for fault in caught.value.faults]
    assert sorted(knobs) == [
        "lines.tv", "lines.tv.amount", "risks.war.duration", "risks.war.exposure.channel:none", "risks.war.probability",
        "risks.war.severity", "streams.shop2.baseline", "streams.shop2.margni",
    ]  # fmt: skip
    _, err = validate(file)
    assert "8 faults" in err
    assert len(err.splitlines()) == 9
    answer = json.loads(validate(file, "--json")[0])
    assert answer["valid"] is False
    assert [fault["knob"] for fault in answer["faults"]] == knobs


def test_faults_of_changes_and_of_the_file_come_together(folder: Path) -> None:
    file = folder / "bad.toml"
    file.write_text(changed("margin = 0.3", "margni = 0.3"))
    _, err = validate(file, "--set", "lines.adds.amount=3", "--set", "plan.target=-1", "--set", "nonsense")
    for part in (
        "margni",
        "'adds' is not in the scenario; did you mean ads?",
        "plan.target: -1 is not above 0",
        "nonsense",
    ):
        assert part in " ".join(err.split())


SETS = {
    "nonsense": "is not of the form knob=value",
    "plan.target=": "is not of the form knob=value",
    "=3": "is not of the form knob=value",
    "plan.tarqet=3": "'tarqet' is not known; did you mean target?",
    "plan.target=3 4": "no TOML value",
    "plan.target=3\nx=4": "more than one value",
    "plan.target.uniform.1=3": "there is nothing below",
    "lines.tv.amount=3": "'tv' is not in the scenario",
    "seasons.retail.weights.13=1": "'13' is no position in a list of 12; positions count from 1 to 12",
    "seasons.retail.weights.0=1": "'0' is no position in a list of 12",
    "review.levels.1.lag=0.1": "levels is not given",
    "streams.shop.growth={ samples = 'none.csv:x' }": "no such file",
    "streams.shop.margin.pert.2=0.1": "there is nothing below",
}  # fmt: skip


@pytest.mark.parametrize("change", SETS)
def test_bad_changes(change: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(GOOD, set=[change])
    assert SETS[change] in str(caught.value)
    assert str(caught.value).startswith("--set")


def test_changes_below_what_is_no_table() -> None:
    with pytest.raises(ScenarioError, match="not a table"):
        parse(more("[review]\nlevels = [3]"), set=["review.levels.1.lag=0.1"])
    with pytest.raises(ScenarioError, match="not a table"):
        parse(more("[risks]\nwar = 3"), set=["risks.war.probability=0.1"])


def test_a_loop_of_three_and_a_chain_that_is_too_long(folder: Path) -> None:
    for name, parent in [("a", "b"), ("b", "c"), ("c", "a")]:
        (folder / f"{name}.toml").write_text(f'extends = "{parent}.toml"\n')
    with pytest.raises(ScenarioError, match=r"a loop: a.toml -> b.toml -> c.toml -> a.toml"):
        load(folder / "a.toml")
    for n in range(40):
        (folder / f"{n}.toml").write_text(f'extends = "{n + 1}.toml"\n')
    with pytest.raises(ScenarioError, match="more than 32 files extend one another"):
        load(folder / "0.toml")


def test_the_nearest_valid_correlations_are_valid() -> None:
    names = [f"risks.{name}.occurs" for name in ("war", "slump", "delay")]
    asked = [
        f'"{names[0]} ~ {names[1]}" = 0.95',
        f'"{names[1]} ~ {names[2]}" = 0.95',
    ]  # the third pair is 0: not possible
    with pytest.raises(ScenarioError) as caught:
        parse(more(THREE + "[correlation]\n" + "\n".join(asked)))
    valid = str(caught.value).partition("the nearest valid ones are ")[2].split("; ")
    assert len(valid) == 3
    scenario = parse(more(THREE + "[correlation]\n" + "\n".join(valid)))
    # by symmetry the two named ones fall alike, and the third rises
    first, second, third = (q.central() for q in scenario.correlation.values())
    assert first == second
    assert 0.7 < first < 0.95
    assert third > 0.05


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            changed("probability = 0.5", "probability = 0.5\nwindow = [{ uniform = [0, 6] }, 5]", RISK),
            ["risks.war.window", "exceeds risks.war.window.2"],
        ),
        (
            more("[review]\nlevels = [{ lag = { uniform = [0, 0.4] } }, { lag = 0.3 }]"),
            ["review.levels", "review.levels.1.lag exceeds review.levels.2.lag"],
        ),
        (
            changed(
                "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { samples = [0, 1, 1] }]"
            ),
            ["seasons.retail.weights", "the weights sum to 0"],
        ),
        (
            changed("severity = 0.1", "severity = { triangular = [0, { uniform = [0, 0.3] }, 0.2] }", RISK),
            ["risks.war.severity", "mode 0.2", "exceeds high 0.2"],
        ),
        (
            changed("severity = 0.1", "severity = { uniform = [{ uniform = [-0.1, 0.2] }, 0.2] }", RISK),
            ["risks.war.severity", "at least 0", "truncate"],
        ),
        (
            changed("probability = 0.5", 'timing = "hazard"\nprobability = { samples = [0.5, 0.5, 1] }', RISK),
            ["risks.war.probability", "a constant hazard cannot be certain"],
        ),
    ],
    ids=["window", "levels", "weights", "order", "support", "hazard"],
)
def test_what_breaks_in_a_world_names_world_and_knob(text: str, parts: list[str]) -> None:
    scenario = parse(text, file="bad.toml")
    with pytest.raises(ScenarioError) as caught:
        worlds.draw(scenario, count=100, seed=1)
    for part in ["bad.toml", "in world", *parts]:
        assert part in str(caught.value)


# ------------------------------------------------------------------------------------------- several files at once


def test_validate_takes_several_files(folder: Path) -> None:
    good, bad, worse = (folder / name for name in ("good.toml", "bad.toml", "worse.toml"))
    good.write_text(GOOD)
    bad.write_text(changed("margin = 0.3", "margni = 0.3"))
    worse.write_text("[plan\n")
    out, err = validate(good, bad, worse)
    assert "good.toml is valid" in out
    assert "3 faults" in err  # an unknown key, a missing margin, a file that is no TOML
    assert "bad.toml: streams.shop.margni" in err
    assert "worse.toml: not TOML" in err
    answers = json.loads(validate(good, bad, worse, "--json")[0])
    assert [answer["valid"] for answer in answers] == [True, False, False]
    assert [Path(answer["file"]).name for answer in answers] == ["good.toml", "bad.toml", "worse.toml"]
    out, err = validate(good, good, code=0)
    assert out.count("is valid") == 2
    assert err == ""
    assert isinstance(json.loads(validate(good, "--json", code=0)[0]), dict)
    assert [answer["valid"] for answer in json.loads(validate(good, good, "--json", code=0)[0])] == [True, True]
