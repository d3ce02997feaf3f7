"""Loading: parents, changes, samples, knobs, selectors and worlds; and that the reference is the plan."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from engine.errors import ScenarioError
from engine.scenario import knobs, selectors, worlds
from engine.scenario.load import load, parse, reference_path
from engine.scenario.model import Part, Scenario
from engine.scenario.quantity import Quantity
from engine.scenario.volume import expected_revenue, plan_shares

PARENT = """
[plan]
target = 100e6
[streams.shop]
labels = { channel = "online", product = "mass" }
baseline = 100e6
margin = 0.3
[lines.ads]
amount = { value = 5e6, source = "plan 1", note = "why" }
response = { ceiling = 0.1, scale = 1e6 }
reach = { "*" = 1.0, "channel:online" = 0.5 }
[demand]
level = { lognormal = [1.0, 1.05], source = "assumption: ours" }
volatility = { value = 0.04, source = "plan 2" }
[risks.war]
probability = { uniform = [0.7, 1.0], source = "plan 3" }
severity = { pert = [0.1, { uniform = [0.1, 0.2], source = "plan 4" }, 0.3], source = "plan 5" }
duration = 2
[risks.slump]
probability = 0.3
severity = 0.1
duration = 1
[seasons.retail]
weights = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]
[correlation]
"risks.war.occurs ~ risks.slump.occurs" = 0.4
[[review.levels]]
lag = 0.2
amount = 2
[[review.levels]]
lag = { uniform = [0.0, 0.1] }
amount = 1
[incentives]
tiers = [[0.8, 0.01], [1.0, 0.02]]
"""


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """A folder with a parent, and room for children."""
    (tmp_path / "parent.toml").write_text(PARENT)
    (tmp_path / "deep").mkdir()
    return tmp_path


def child(folder: Path, text: str, name: str = "child.toml") -> Scenario:
    (folder / name).write_text(text)
    return load(folder / name)


def value(scenario: Scenario, name: str) -> float:
    return knobs.read(scenario, name).central()


# -------------------------------------------------------------------------------------------------- extends, remove


def test_a_chain_of_parents_each_relative_to_its_own_file(family: Path) -> None:
    (family / "deep" / "middle.toml").write_text('extends = "../parent.toml"\n[plan]\ntarget = 90e6\nname = "middle"\n')
    found = child(family, 'extends = "deep/middle.toml"\n[plan]\ntarget = 80e6\n')
    assert found.plan.target.value == 80e6
    assert found.plan.name == "middle"
    assert found.streams["shop"].baseline == Quantity(100e6)
    assert found.file == "child.toml"
    assert parse('extends = "parent.toml"', folder=family).plan.target.value == 100e6


def test_remove_acts_before_the_own_tables(family: Path) -> None:
    pair = "correlation.risks.war.occurs ~ risks.slump.occurs"
    found = child(
        family,
        f"""
extends = "parent.toml"
remove = ["risks.slump", "{pair}", "lines.ads.reach.channel:online", "demand.level"]
"""
        "[risks.slump]\nrate = 1\nseverity = 0.2\nduration = 3\n",
    )
    assert found.risks["slump"].probability is None  # nothing of the parent's is left
    assert found.correlation == {}
    assert list(found.lines["ads"].reach) == ["*"]
    assert found.demand.level == Quantity(1.0)
    assert list(found.risks) == ["war", "slump"]


@pytest.mark.parametrize(
    "name", ["risks.wra", "risks.war.buffer", "nothing", "risks.war.severity.pert.9", "", "risks."]
)
def test_remove_what_is_not_there_is_an_error(family: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match="remove: the parent has no"):
        child(family, f'extends = "parent.toml"\nremove = ["{name}"]\n')
    with pytest.raises(ScenarioError, match="the parent has no plan"):
        parse('remove = ["plan"]\n' + PARENT)


def test_tables_merge_and_arrays_and_quantities_are_replaced(family: Path) -> None:
    found = child(
        family,
        """
extends = "parent.toml"
[lines.ads]
amount = 6e6
reach = { shop = 2.0 }
response = { scale = 2e6 }
[demand]
level.uniform = [0.9, 1.1]
volatility.source = "assumption: half a quantity"
volatility.value = 0.05
[risks.war]
severity = { pert = [0, 0.1, 0.2] }
[streams.shop]
labels = { region = "north" }
[[review.levels]]
lag = 0.5
""",
    )
    amount = found.lines["ads"].amount
    assert (amount.value, amount.source, amount.note) == (6e6, "", "")  # not a new number with an old source
    reach = {selector: quantity.value for selector, quantity in found.lines["ads"].reach.items()}
    assert reach == {"*": 1.0, "channel:online": 0.5, "shop": 2.0}
    assert found.lines["ads"].response is not None
    assert found.lines["ads"].response.ceiling.value == 0.1
    assert found.lines["ads"].response.scale.value == 2e6
    level = found.demand.level
    assert level.distribution is not None
    assert level.distribution.family == "uniform"
    assert level.source == ""
    assert found.demand.volatility.source == "assumption: half a quantity"
    assert found.risks["war"].severity.source == ""
    assert found.streams["shop"].labels == {"channel": "online", "product": "mass", "region": "north"}
    assert len(found.review.levels) == 1


def test_half_a_distribution_is_never_completed_from_the_parent(family: Path) -> None:
    with pytest.raises(ScenarioError, match=r"demand\.level: neither a value nor a distribution"):
        child(family, 'extends = "parent.toml"\n[demand]\nlevel.source = "new source, old number"\n')
    with pytest.raises(ScenarioError, match="stand side by side"):
        child(family, 'extends = "parent.toml"\n[demand]\nlevel = { uniform = [0, 1], pert = [0, 1, 2] }\n')


def test_samples_are_relative_to_the_file_that_names_them(family: Path) -> None:
    history = family / "deep" / "history.csv"
    history.write_text("\ufeffmonth,growth\n1,0.1\n2,0.3\n3,0.2\n4,\n", encoding="utf-8")
    (family / "deep" / "middle.toml").write_text(
        'extends = "../parent.toml"\n[streams.shop]\ngrowth = { samples = "history.csv:growth", source = "books" }\n'
    )
    found = child(family, 'extends = "deep/middle.toml"\n')
    growth = found.streams["shop"].growth
    assert growth.distribution is not None
    assert growth.distribution.data == (0.1, 0.2, 0.3)
    assert growth.source == "books"
    assert "history.csv" not in found.resolved_text()
    changed = load(family / "child.toml", set=[f'streams.shop.growth={{ samples = "{history}:month" }}'])
    assert value(changed, "streams.shop.growth") == 2.0


# -------------------------------------------------------------------------------------------------------------- set


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ("plan.target=90e6", "plan.target", 90e6),
        (" plan.target = 1_000 ", "plan.target", 1000.0),
        ("streams.shop.growth=-0.5", "streams.shop.growth", -0.5),  # not in the file
        ("streams.shop.growth={ uniform = [0.0, 0.2] }", "streams.shop.growth", 0.1),
        ("risks.war.probability.uniform.1=0.9", "risks.war.probability", 0.95),
        ("risks.war.severity.pert.2.uniform.2=0.3", "risks.war.severity.pert.2", 0.2),
        ("risks.war.severity.pert.2=0.25", "risks.war.severity.pert.2", 0.25),
        ("demand.level.lognormal.1=1.01", "demand.level", 1.01),
        ("seasons.retail.weights.12=5", "seasons.retail.weights.12", 5.0),
        ("incentives.tiers.2.1=1.1", "incentives.tiers.2.1", 1.1),
        ("review.levels.2.lag=0.3", "review.levels.2.lag", 0.3),  # 2 is the deeper one, last after sorting
        ("lines.ads.reach.channel:online=0.7", "lines.ads.reach.channel:online", 0.7),
        ("risks.war.exposure.channel:online&product:mass=0.7", "risks.war.exposure.channel:online&product:mass", 0.7),
        ("risks.war.exposure.shop=0.7", "risks.war.exposure.shop", 0.7),
        (
            "correlation.risks.war.occurs ~ risks.slump.occurs=0.1",
            "correlation.risks.war.occurs ~ risks.slump.occurs",
            0.1,
        ),
        (
            'correlation."risks.war.occurs ~ risks.slump.occurs"=0.2',
            "correlation.risks.war.occurs ~ risks.slump.occurs",
            0.2,
        ),
        (
            "correlation.risks.war.severity ~ risks.slump.occurs=-0.1",
            "correlation.risks.war.severity ~ risks.slump.occurs",
            -0.1,
        ),
    ],
)
def test_set_numbers_distributions_elements_and_selectors(change: str, name: str, expected: float) -> None:
    assert value(parse(PARENT, set=[change]), name) == pytest.approx(expected)


def test_set_words_lists_and_text() -> None:
    found = parse(
        PARENT,
        set=[
            "risks.war.duration=rest",
            "risks.war.timing=hazard",
            "plan.start=2024-05",
            'plan.name="A plan with = and spaces"',
            "lines.ads.phasing=retail",
            "incentives.streams=channel:online&product:mass",
            "risks.slump.window=[3, 4]",
            "streams.shop.season=retail",
        ],
    )
    assert found.risks["war"].duration == "rest"
    assert found.risks["war"].timing == "hazard"
    assert found.plan.start == "2024-05"
    assert found.plan.name == "A plan with = and spaces"
    assert found.lines["ads"].phasing == "retail"
    assert value(found, "risks.slump.window.2") == 4
    assert parse(PARENT, set=["plan.name=计划"]).plan.name == "计划"
    assert parse(PARENT, set=["lines.ads.phasing=[1,2,3,4,5,6,7,8,9,10,11,12]", "lines.ads.phasing.3=0"]).lines["ads"]


def test_set_leaves_no_old_source_on_a_new_number() -> None:
    found = parse(PARENT, set=["risks.war.severity.pert.2.uniform.1=0.15", "lines.ads.amount.value=6e6"])
    assert knobs.read(found, "risks.war.severity").source == ""
    assert knobs.read(found, "risks.war.severity.pert.2").source == ""
    assert found.lines["ads"].amount == Quantity(6e6)
    kept = parse(PARENT, set=['risks.war.probability.note="checked"', "lines.ads.amount.value=6e6"])
    assert kept.risks["war"].probability is not None
    assert kept.risks["war"].probability.source == "plan 3"
    cut = parse(
        PARENT, set=["demand.level.truncate=[0.9, 1.2]", "risks.slump.severity={ normal = [0, 1], truncate = [0, 1] }"]
    )
    assert cut.demand.level.distribution is not None
    assert cut.demand.level.distribution.truncate
    sourced = parse(PARENT, set=["lines.ads.amount.value=6e6", 'lines.ads.amount.source="board"'])
    assert sourced.lines["ads"].amount == Quantity(6e6, source="board")


def test_set_in_order_and_the_last_wins() -> None:
    assert parse(PARENT, set=["plan.target=1", "plan.target=2"]).plan.target.value == 2


def test_review_levels_are_sorted_by_lag() -> None:
    assert [level.amount.value for level in parse(PARENT).review.levels] == [1, 2]
    after = parse(PARENT, set=["review.levels.1.lag=0.3"])  # now the other one comes first
    assert [level.amount.value for level in after.review.levels] == [2, 1]


# ---------------------------------------------------------------------------------------------------- resolved text


FILES = sorted(file for file in reference_path().parent.rglob("*.toml") if file.parent.name != "batches")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario_files_load_and_read_back_to_the_same_hash(file: Path) -> None:
    scenario = load(file)
    text = scenario.resolved_text()
    assert "extends" not in tomllib.loads(text)
    again = parse(text, file=file.name)
    assert again.hash == scenario.hash
    assert again == scenario
    assert [k.quantity for k in knobs.iter_knobs(again)] == [k.quantity for k in knobs.iter_knobs(scenario)]
    worlds.draw(scenario, count=50, seed=2)


def test_resolved_text_holds_odd_keys_and_text() -> None:
    odd = 'quote \\" back \\\\ tab \\t bell \\u0007 del \\u007f 计划 😀'
    text = PARENT + f'[streams."计划"]\nbaseline = 1e300\nmargin = {{ value = 0.1, source = "{odd}" }}\n'
    text = text.replace("1e300", "1.5e-300")
    scenario = parse(text, set=["risks.war.probability.uniform.1=0.8"])
    assert parse(scenario.resolved_text()).hash == scenario.hash
    assert scenario.streams["计划"].margin.source.endswith("\x7f 计划 😀")
    assert scenario.hash != parse(text).hash


# ------------------------------------------------------------------------------------------------------------ knobs


def test_knobs_have_names_units_and_kinds() -> None:
    found = parse(
        PARENT
        + """
[streams.key]
margin = 0.3
customers = { count = 3, spend = 1, wins = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { pert = [0, 1, 2] }] }
[streams.new]
margin = 0.3
launch = { peak = 1, slip = { pert = [0, 1, 2], per = "world" } }
[lines.tv]
effectiveness = { mixture = [{ weight = 1, uniform = [0, 1] }] }
""",
        set=["plan.currency=EUR"],
    )
    index = knobs.index(found)
    expected = {
        "plan.target": ("EUR", "number"),
        "seasons.retail.weights.12": ("1", "number"),
        "demand.level": ("1", "uncertain"),
        "demand.level.lognormal.2": ("1", "number"),
        "risks.war.probability": ("1", "uncertain"),
        "risks.war.probability.uniform.2": ("1", "number"),
        "risks.war.severity": ("1", "random"),
        "risks.war.severity.pert.2": ("1", "uncertain"),
        "risks.war.severity.pert.2.uniform.1": ("1", "number"),
        "risks.war.duration": ("month", "number"),
        "risks.war.buffer.days": ("day", "number"),
        "review.levels.1.lag": ("1", "uncertain"),
        "review.levels.2.amount": ("EUR", "number"),
        "incentives.tiers.2.1": ("1", "number"),
        "streams.key.customers.wins.12": ("count/month", "uncertain"),
        "streams.key.customers.spend": ("EUR/year", "number"),
        "streams.new.launch.slip": ("month", "uncertain"),
        "streams.new.launch.peak": ("EUR/month", "number"),
        "lines.tv.effectiveness": ("1", "random"),
        "lines.tv.effectiveness.mixture.1.weight": ("1", "number"),
        "lines.tv.effectiveness.mixture.1.uniform.2": ("1", "number"),
        "lines.ads.response.scale": ("EUR/month", "number"),
        "lines.ads.reach.channel:online": ("1", "number"),
        "correlation.risks.war.occurs ~ risks.slump.occurs": ("1", "number"),
    }
    for name, (unit, kind) in expected.items():
        assert (index[name].unit, index[name].kind) == (unit, kind), name
    order = list(knobs.uncertain(found))
    assert "risks.war.severity" not in order
    assert set(order) == {name for name, knob in index.items() if knob.kind == "uncertain"}
    with pytest.raises(ScenarioError, match=r"no such knob; did you mean risks\.war\.severity\?"):
        knobs.read(found, "risks.war.sevrity")


def test_a_parameter_has_the_source_of_its_quantity_unless_it_has_its_own() -> None:
    index = knobs.index(parse(PARENT, set=["risks.war.severity.pert.3={ value = 0.3, source = 'Assumption: most' }"]))
    expected = {
        "risks.war.severity": ("none", ""),  # another distribution now, with no old source
        "risks.war.severity.pert.1": ("none", ""),
        "risks.war.severity.pert.2": ("plan", "plan 4"),
        "risks.war.severity.pert.2.uniform.1": ("plan", "plan 4"),
        "risks.war.severity.pert.3": ("assumption", "Assumption: most"),
        "risks.war.probability.uniform.1": ("plan", "plan 3"),
        "demand.level.lognormal.2": ("assumption", "assumption: ours"),
        "risks.war.duration": ("none", ""),
        "review.levels.2.lag.uniform.1": ("none", ""),
        # what no file states
        "risks.war.deferred": ("default", ""),
        "risks.war.buffer.days": ("default", ""),
        "risks.war.exposure.*": ("default", ""),
        "lines.ads.response.slope": ("default", ""),
        "demand.persistence": ("default", ""),
    }
    expected["review.levels.1.lag.uniform.1"] = expected.pop("review.levels.2.lag.uniform.1")
    for name, (origin, source) in expected.items():
        assert (index[name].origin, index[name].source) == (origin, source), name
    whole = knobs.index(parse(PARENT))
    assert whole["risks.war.severity.pert.1"].source == "plan 5"
    assert whole["risks.war.severity.pert.2.uniform.2"].source == "plan 4"


# -------------------------------------------------------------------------------------------------------- selectors


def streams_of(*labels: dict[str, str]) -> dict[str, Any]:
    text = "plan.target = 1\n"
    for j, found in enumerate(labels):
        inside = ", ".join(f"{key} = '{word}'" for key, word in found.items())
        text += f"[streams.s{j}]\nbaseline = 1\nmargin = 0\nlabels = {{ {inside} }}\n"
    return dict(parse(text).streams)


def test_the_selector_with_most_pairs_wins_and_an_id_beats_all() -> None:
    streams = streams_of({"c": "on", "p": "high"}, {"c": "on", "p": "low"}, {"c": "off", "p": "low"}, {})
    entries = ["s0", "c:on&p:high", "*", "c:on"]
    assert selectors.resolve(entries, streams) == {"s0": "s0", "s1": "c:on", "s2": "*", "s3": "*"}
    assert selectors.resolve(entries[1:], streams)["s0"] == "c:on&p:high"
    assert selectors.resolve(["c:off"], streams) == {"s0": None, "s1": None, "s2": "c:off", "s3": None}
    assert selectors.select("c:on&p:low", streams) == ["s1"]
    assert selectors.select("*", streams) == ["s0", "s1", "s2", "s3"]
    for nothing in ("c:", "c", ":on", "c:on&", "c:on:x", "", "c:ON"):
        assert selectors.select(nothing, streams) == []


def test_ties_count_only_where_nothing_more_specific_decides() -> None:
    streams = streams_of({"c": "on", "p": "high"}, {"c": "on", "p": "low"})
    assert selectors.ties(["c:on", "p:high"], streams) == [("c:on", "p:high", "s0")]
    assert selectors.ties(["c:on", "p:high", "c:on&p:high"], streams) == []
    assert selectors.ties(["c:on", "p:high", "s0"], streams) == []
    assert selectors.ties(["p:low", "p:high", "*"], streams) == []
    assert selectors.ties(["c:on&p:high", "p:high&c:on"], streams) == [("c:on&p:high", "p:high&c:on", "s0")]


# ----------------------------------------------------------------------------------------------------------- worlds


def test_the_central_world_takes_medians_of_medians() -> None:
    scenario = parse(PARENT)
    middle = worlds.central(scenario).values
    assert set(middle) == {"risks.war.probability", "risks.war.severity.pert.2", "demand.level", "review.levels.1.lag"}
    assert middle["risks.war.probability"] == pytest.approx([0.85])
    assert middle["risks.war.severity.pert.2"] == pytest.approx([0.15])
    assert middle["demand.level"] == pytest.approx([1.0])
    one = worlds.draw(scenario, count=1, seed=5)
    assert {name: v.tolist() for name, v in one.values.items()} == {name: v.tolist() for name, v in middle.items()}
    assert one.streams.tolist() == [1]
    nested = parse(PARENT, set=["demand.level={ uniform = [0.8, { triangular = [0.8, 1.0, 1.2] }] }"])
    assert worlds.central(nested).values["demand.level"] == pytest.approx([0.9])


def test_the_first_worlds_of_a_longer_list_are_those_of_a_shorter_one() -> None:
    scenario = load(reference_path())
    short, long = (worlds.draw(scenario, count=n, seed=7) for n in (5, 64))
    for name, drawn in short.values.items():
        assert drawn.tolist() == long.values[name][:5].tolist()
    assert short.streams.tolist() == [1, 2, 3, 4, 5]
    assert worlds.draw(scenario, count=5, seed=7, same_paths=True).streams.tolist() == [0] * 5
    other = worlds.draw(scenario, count=5, seed=8)
    assert all((drawn != other.values[name]).all() for name, drawn in short.values.items())
    part = long.part(start=2, stop=5)
    assert len(part) == 3
    assert part.values["demand.level"].tolist() == short.values["demand.level"][2:].tolist()


def test_worlds_do_not_depend_on_what_else_is_in_the_scenario() -> None:
    whole = worlds.draw(parse(PARENT), count=20, seed=3).values
    pair = "risks.war.occurs ~ risks.slump.occurs"
    alone = PARENT.replace(f'"{pair}" = 0.4', "").replace("[risks.slump]", "[risks.other]")
    fewer = parse(alone, set=["risks.war.severity=0.2"])
    assert worlds.draw(fewer, count=20, seed=3).values["demand.level"].tolist() == whole["demand.level"].tolist()


def test_uncertain_quantities_follow_their_distribution_nested_ones_too() -> None:
    # n = 4000: the 1 % point of Kolmogorov's D is 0.026, the chance of D > 0.045 below 1e-6
    n = 4000
    scenario = parse(PARENT, set=["risks.slump.probability={ uniform = [0.1, { uniform = [0.2, 0.6] }] }"])
    drawn = worlds.draw(scenario, count=n, seed=11).values
    assert stats.kstest(drawn["risks.war.probability"], stats.uniform(0.7, 0.3).cdf).statistic < 0.045
    inner, outer = drawn["risks.slump.probability.uniform.2"], drawn["risks.slump.probability"]
    assert stats.kstest(inner, stats.uniform(0.2, 0.4).cdf).statistic < 0.045
    assert stats.kstest((outer - 0.1) / (inner - 0.1), stats.uniform().cdf).statistic < 0.045
    assert stats.kstest(drawn["risks.war.probability"], stats.uniform(0.65, 0.35).cdf).statistic > 0.045


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.5, 0.95, 1.0])
def test_uncertain_knobs_have_the_stated_rank_correlation(rho: float) -> None:
    # n = 20000: standard error of Spearman's rho at most 1 / sqrt(n) = 0.0071; a fault of 0.04 would be caught
    n, pair = 20_000, "demand.level ~ risks.war.probability"
    drawn = worlds.draw(parse(PARENT, set=[f"correlation.{pair}={rho}"]), count=n, seed=1).values
    found = stats.spearmanr(drawn["demand.level"], drawn["risks.war.probability"]).statistic
    assert abs(found - rho) <= 5 / np.sqrt(n)
    assert abs(stats.spearmanr(drawn["demand.level"], drawn["review.levels.1.lag"]).statistic) <= 5 / np.sqrt(n)
    # the margins stay what they are
    assert stats.kstest(drawn["risks.war.probability"], stats.uniform(0.7, 0.3).cdf).statistic < 0.025


def test_an_uncertain_correlation_is_drawn_once_a_world() -> None:
    # rho is -1 or 1, alike: no correlation in all, a perfect one among the worlds that drew 1
    n, pair = 8000, "demand.level ~ risks.war.probability"
    drawn = worlds.draw(parse(PARENT, set=[f"correlation.{pair}={{ samples = [-1, 1] }}"]), count=n, seed=1).values
    up = drawn[f"correlation.{pair}"] > 0
    assert abs(up.mean() - 0.5) <= 5 * 0.5 / np.sqrt(n)
    for chosen, rho in ((up, 1.0), (~up, -1.0)):
        level, probability = drawn["demand.level"][chosen], drawn["risks.war.probability"][chosen]
        assert stats.spearmanr(level, probability).statistic == pytest.approx(rho, abs=1e-6)


def test_design_sets_knobs_and_lets_what_depends_on_them_follow() -> None:
    scenario = parse(PARENT)
    found = worlds.design(
        scenario,
        values={"plan.target": np.array([90e6, 95e6]), "risks.war.probability.uniform.1": np.array([0.8, 0.9])},
    )
    assert found.values["plan.target"].tolist() == [90e6, 95e6]
    assert found.values["risks.war.probability"] == pytest.approx([0.9, 0.95])  # its median under the new bound
    assert found.values["demand.level"] == pytest.approx([1.0, 1.0])
    assert found.streams.tolist() == [0, 0]
    fixed = worlds.design(scenario, values={"risks.war.probability": np.array([0.1, 0.2])})
    assert fixed.values["risks.war.probability"].tolist() == [0.1, 0.2]
    for name, wrong, message in [
        ("plan.tarqet", 1.0, "did you mean plan.target"),
        ("plan.target", -1.0, "in world 0: -1 is not above 0"),
        ("risks.war.severity.pert.1", 0.5, "in world 0: pert: low 0.5 exceeds mode"),
        ("risks.war.severity.pert.1", -0.5, "not at least 0"),
    ]:
        with pytest.raises(ScenarioError, match=message):
            worlds.design(scenario, values={name: np.array([wrong])})


# ---------------------------------------------------------------------------------------------------- the reference


@pytest.fixture(scope="module")
def reference() -> Scenario:
    return load(reference_path())


def given(node: Any, name: str = "") -> Iterator[tuple[str, Quantity]]:
    """Quantities that the file states, defaults left out."""
    if isinstance(node, Quantity):
        yield name, node
    elif isinstance(node, Part):
        for field in sorted(node.model_fields_set):
            yield from given(getattr(node, field), f"{name}.{field}")
    elif isinstance(node, tuple):
        for j, item in enumerate(node, 1):
            yield from given(item, f"{name}.{j}")
    elif isinstance(node, dict):
        for key, item in node.items():
            yield from given(item, f"{name}.{key}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_number_has_a_source_and_every_assumption_a_note(file: Path) -> None:
    scenario = load(file)
    stated = dict(given(scenario))
    assert len(stated) > 200
    assert [name for name, quantity in stated.items() if quantity.origin == "none"] == []
    assert [name for name, q in stated.items() if q.origin == "assumption" and not q.note] == []
    every = list(knobs.iter_knobs(scenario))
    assert [knob.name for knob in every if knob.origin == "none"] == []
    assert {knob.name for knob in every if knob.given and knob.parent is None} == {name[1:] for name in stated}
    assert {knob.origin for knob in every} == {"plan", "assumption", "default"}


def test_targets_are_those_of_the_plan_and_its_own_path_meets_them(reference: Scenario) -> None:
    bounds = {
        "q1_revenue": 250e6, "q4_revenue": 500e6, "october_revenue": 200e6,
        "online_share_march": 0.38, "online_share_may": 0.45, "online_share_september": 0.48, "online_share": 0.50,
        "high_end_share_august": 0.25, "high_end_share": 0.30, "gross_margin": 0.35,
        "new_product": 100e6, "new_product_june": 30e6,
    }  # fmt: skip
    revenue = expected_revenue(worlds.central(reference))[0]
    margins = np.array([stream.margin.central() for stream in reference.streams.values()])
    names = list(reference.streams)
    for name, bound in bounds.items():
        target = reference.targets[name]
        assert target.at_least is not None
        assert target.at_least.value == bound
        assert target.at_least.origin == "plan"
        months = [month - 1 for month in target.months or range(1, 13)]
        rows = [names.index(stream) for stream in selectors.select(target.where, reference.streams)]
        reached = revenue[np.ix_(rows, months)].sum()
        if target.measure == "margin_rate":
            reached = (margins[rows, None] * revenue[np.ix_(rows, months)]).sum() / reached
        elif target.of is not None:
            reached /= revenue[:, months].sum()
        assert reached >= bound, name
    kept = {
        "customers_kept": 0.90, "class_a_kept": 0.85,
        "customers_kept_q3": 0.88**0.25, "class_a_kept_q3": 0.80**0.25,
    }  # fmt: skip
    for name, share in kept.items():
        assert reference.targets[name].measure == "retention"
        bound_kept = reference.targets[name].at_least
        assert bound_kept is not None
        assert bound_kept.value == pytest.approx(share, abs=1e-4)
    assert value(reference, "targets.incentives_in_line.at_most") == 0
    assert [value(reference, f"review.levels.{j}.lag") for j in (1, 2, 3)] == [0.05, 0.10, 0.15]
    assert reference.incentives is not None
    tiers = [(start.value, rate.value) for start, rate in reference.incentives.tiers]
    assert tiers == [(0.8, 0.01), (1.0, 0.015), (1.2, 0.02)]


def test_the_plan_believes_itself(reference: Scenario) -> None:
    revenue = expected_revenue(worlds.central(reference)).sum()
    assert 1e-4 <= revenue / 1.5e9 - 1 <= 1e-3
    assert reference.plan.target.value == 1.5e9


def test_it_starts_from_2023(reference: Scenario) -> None:
    start: dict[str, float] = {}
    for name, stream in reference.streams.items():
        if stream.baseline is not None:
            start[name] = stream.baseline.central()
        elif stream.customers is not None:
            start[name] = stream.customers.count.central() * stream.customers.spend.central()
    total = sum(start.values())
    assert total == pytest.approx(1.5e9 / 1.3, rel=1e-6)

    def share(label: str, of: str) -> float:
        return sum(v for name, v in start.items() if reference.streams[name].labels.get(label) == of) / total

    assert share("side", "online") == pytest.approx(0.35, abs=5e-4)
    assert share("product", "high_end") == pytest.approx(0.20, abs=5e-4)
    margin = sum(v * reference.streams[name].margin.central() for name, v in start.items()) / total
    assert margin == pytest.approx(0.32, abs=5e-4)


def test_quarters_follow_the_plan(reference: Scenario) -> None:
    by_month = expected_revenue(worlds.central(reference)).sum(axis=1)[0]
    for shares in (plan_shares(reference)[0], by_month / by_month.sum()):
        assert shares[:3].sum() == pytest.approx(0.167, abs=2e-3)
        assert shares[9:].sum() == pytest.approx(0.333, abs=2e-3)


def amount(scenario: Scenario, *names: str) -> float:
    items = {**scenario.lines, **scenario.funds}
    return sum(items[name].amount.central() for name in names)


def total(scenario: Scenario) -> float:
    return amount(scenario, *scenario.lines, *scenario.funds)


def test_lines_are_split_as_the_plan_splits_them(reference: Scenario) -> None:
    split = {
        80e6: {"online_ads": 0.5, "store_events": 0.3, "other_marketing": 0.2},
        50e6: {"store_fit_out": 0.6, "shops_and_dealers": 0.4},
        40e6: {"incentives_monthly": 0.6, "incentives_quarterly": 0.3, "incentives_yearly": 0.1},
        30e6: {"technology_crm": 0.4, "technology_bi": 0.35, "technology_ai": 0.25},
    }
    for whole, parts in split.items():
        for name, share in parts.items():
            assert amount(reference, name) == pytest.approx(share * whole)
    assert amount(reference, "contingency") == 20e6
    assert amount(reference, "unassigned") == 30e6
    assert reference.lines["unassigned"].response is None
    assert total(reference) == 250e6


def test_every_risk_of_both_matrices_is_there(reference: Scenario) -> None:
    levels = [risk.level for risk in reference.risks.values()]
    assert {level: levels.count(level) for level in levels} == {
        "high": 2, "medium": 2, "low": 2, "red": 2, "orange": 2, "yellow": 2, "blue": 2,
    }  # fmt: skip
    for risk in reference.risks.values():
        chance = risk.probability or risk.rate
        assert chance is not None
        assert chance.distribution is not None
        assert chance.origin == "plan"


def test_the_price_fund_beside_the_contingency_and_inside_it(reference: Scenario) -> None:
    beside, inside = (load(reference_path().parent / f"price_fund_{where}.toml") for where in ("beside", "inside"))
    assert amount(beside, "contingency") == 20e6
    assert amount(inside, "contingency") == 7.5e6
    assert amount(beside, "unassigned") == 17.5e6
    assert amount(inside, "unassigned") == 30e6
    for scenario in (beside, inside):
        assert amount(scenario, "price_fund") == 0.05 * 250e6
        assert total(scenario) == 250e6
        response = scenario.risks["price_war"].response
        assert response is not None
        assert response.fund == "price_fund"


def test_no_risks_and_regional_are_the_same_plan(reference: Scenario) -> None:
    none, regional = (load(reference_path().parent / f"{name}.toml") for name in ("no_risks", "regional"))
    assert none.risks == {}
    assert 45 <= len(regional.streams) <= 60
    assert {s.labels.get("region") for s in regional.streams.values()} >= {"north", "south", "east", "west"}
    by_plan = [expected_revenue(worlds.central(s)).sum() for s in (reference, none, regional)]
    np.testing.assert_allclose(by_plan, by_plan[0], rtol=2e-3)


def test_an_installed_scenario_is_named_where_a_path_misses_it(tmp_path) -> None:
    with pytest.raises(ScenarioError, match=r"the installed one is .*price_war_q2\.toml"):
        load(tmp_path / "price_war_q2.toml")
