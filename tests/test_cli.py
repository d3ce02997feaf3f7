"""The command line: what is printed where, exit codes, and that no traceback reaches a user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from forecasts import MadeUpForecast
from typer.testing import CliRunner

from engine.cli import app

SMALL = """
schema = 1
[plan]
name = "Small"
target = { value = 100e6, source = "board" }
[streams.shop]
labels = { channel = "shop" }
baseline = 100e6
volatility = 0.05
margin = 0.3
[lines.ads]
amount = 5e6
response = { kind = "exponential", ceiling = 0.1, scale = 1e6 }
reach = { "*" = 1 }
[funds.contingency]
amount = 1e6
[risks.price_war]
level = "red"
probability = { uniform = [0.2, 0.6], source = "assumption: two rivals" }
severity = 0.1
duration = { pert = [1, 2, 4] }
[risks.price_war.response]
effectiveness = 0.5
cost_ratio = 0.1
fund = "contingency"
[[review.levels]]
lag = 0.1
amount = 1e5
line = "ads"
fund = "contingency"
"""
runner = CliRunner()


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return str(file)


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    """Run a command in this process; gives stdout and stderr."""
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def flat(text: str) -> str:
    return " ".join(text.split())


def test_help_and_version_load_nothing_heavy() -> None:
    code = (
        "import sys; from engine.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('numpy', 'scipy', 'numba', 'xarray', 'pydantic', 'matplotlib', 'pulp')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for command in ("run", "validate", "schema", "knobs", "register", "diff", "calibrate-plan"):
        assert command in out
    assert out.splitlines()[-1] == "[]"
    assert run("--version")[0].startswith("attain ")


def test_run_prints_the_answer_first_and_json_holds_it(small: str) -> None:
    arguments = ("run", small, "--paths", "4000", "--worlds", "4", "--threads", "1")
    text, _ = run(*arguments)
    figures = json.loads(run(*arguments, "--json")[0])
    assert figures["paths"] == 4000
    assert figures["worlds"] == 4
    assert "P(attain)" in text.splitlines()[1]
    assert f"{figures['p_attain']['lo']:.2f} to {figures['p_attain']['hi']:.2f} in 90 % of worlds" in text
    assert set(figures["loss_by_risk"]) == {"price_war"}
    assert max(map(len, text.splitlines())) <= 100


def test_run_writes_paths_and_charts(small: str, tmp_path: Path) -> None:
    out, charts = tmp_path / "r.nc", tmp_path / "a" / "charts"
    figures = json.loads(
        run("run", small, "--paths", "1e3", "--worlds", "2", "--out", str(out), "--charts", str(charts), "--json")[0]
    )
    with xr.open_dataset(out, engine="h5netcdf") as dataset:
        assert dataset.sizes["path"] * dataset.sizes["world"] == 1000
        mean = float(dataset["revenue"].mean())
    assert mean == pytest.approx(figures["revenue"]["mean"], rel=1e-12)
    assert sorted(file.name for file in charts.iterdir()) == ["fan.png", "scurve.png"]


def test_set_changes_the_answer(small: str) -> None:
    arguments = ("run", small, "--paths", "2000", "--worlds", "1", "--json")
    loss = [json.loads(run(*arguments, "--set", f"risks.price_war.probability={p}")[0]) for p in (0, 1)]
    assert loss[0]["loss_by_risk"]["price_war"]["mean"] == 0
    assert loss[1]["loss_by_risk"]["price_war"]["mean"] > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--paths", "0"], "--paths: 0 is below 1"),
        (["--paths", "-5"], "--paths: -5 is below 1"),
        (["--paths", "1.5"], "--paths: '1.5' is not a whole number"),
        (["--paths", "many"], "--paths: 'many' is not a whole number"),
        (["--worlds", "0"], "--worlds: 0 is below 1"),
        (["--seed", "-1"], "--seed: -1 is below 0"),
        (["--seed", str(2**64)], "--seed: 18446744073709551616 is above"),
        (["--threads", "0"], "--threads: 0 is below 1"),
        (["--precision", "0"], "--precision: 0 is no number between 0 and 0.5"),
        (["--precision", "nan"], "--precision: nan is no number between 0 and 0.5"),
        (["--sampler", "dice"], "--sampler: 'dice' is not known; give random or sobol"),
        (["--out", "no/such/folder/r.nc"], "--out: the folder no/such/folder does not exist"),
        (["--out", "r.csv"], "--out: r.csv does not end in .nc"),
        (["--set", "risks.price_wra.probability=1"], "price_wra"),
        (["--set", "plan.target=-1"], "plan.target"),
        (["--set", "nonsense"], "nonsense"),
    ],
)
def test_wrong_options_are_named_without_a_traceback(small: str, arguments: list[str], named: str) -> None:
    out, err = run("run", small, *arguments, code=2)
    assert out == ""
    assert named in flat(err)
    assert "Traceback" not in err


def test_all_wrong_options_are_listed_at_once(small: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, err = run("run", small, "--paths", "0", "--threads", "0", "--charts", str(tmp_path / "file" / "x"), code=2)
    assert [name for name in ("--paths", "--threads", "--charts") if name in err] == [
        "--paths",
        "--threads",
        "--charts",
    ]


def test_faults_of_a_scenario_are_all_listed(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(SMALL.replace("margin = 0.3", "margni = 0.3").replace("amount = 5e6", "amount = -5e6"))
    for command in ("run", "validate", "knobs", "register", "calibrate-plan"):
        out, err = run(command, str(file), code=2)
        assert out == ""
        assert "margni" in err
        assert "lines.ads.amount" in err
    answer = json.loads(run("validate", str(file), "--json", code=2)[0])
    assert not answer["valid"]
    assert len(answer["faults"]) >= 2
    assert {"file", "knob", "message", "remedy"} <= set(answer["faults"][0])


@pytest.mark.parametrize("command", ["run", "validate", "knobs", "register", "calibrate-plan"])
def test_missing_files_and_broken_toml(command: str, tmp_path: Path) -> None:
    assert "no_such.toml" in run(command, "no_such.toml", code=2)[1]
    (tmp_path / "broken.toml").write_text("[plan\n")
    assert "broken.toml" in run(command, str(tmp_path / "broken.toml"), code=2)[1]
    assert run(command, str(tmp_path), code=2)[0] == ""


def test_knobs_register_and_diff(small: str, tmp_path: Path) -> None:
    rows = json.loads(run("knobs", small, "--json")[0])
    names = [row["name"] for row in rows]
    assert "risks.price_war.probability.uniform.2" in names
    assert "plan.target" in names
    assert [row["name"] for row in json.loads(run("knobs", small, "--uncertain", "--json")[0])] == [
        "risks.price_war.probability"
    ]
    only = json.loads(run("knobs", small, "--match", "lines.*", "--json")[0])
    assert only
    assert all(row["name"].startswith("lines.") for row in only)
    assert "price_war" in run("register", small)[0]
    assert "price_war" in run("register", small, "--risks")[0]
    found = json.loads(run("register", small, "--json")[0])
    assert list(found) == ["plan", "assumption", "none", "default", "risks"]
    assert [row["risk"] for row in found["risks"]] == ["price_war"]
    assert [row["name"] for row in found["plan"]] == ["plan.target"]
    assert [row["name"] for row in found["assumption"]] == ["risks.price_war.probability"]
    assert found["assumption"][0] | {"value": None, "place": 0} == {
        "place": 0, "name": "risks.price_war.probability", "value": None, "unit": "1", "kind": "uncertain",
        "source": "assumption: two rivals", "note": None,
    }  # fmt: skip
    unsourced = [row["name"] for row in found["none"]]
    assert {"streams.shop.baseline", "risks.price_war.duration"} <= set(unsourced)
    # parameters stand in their distribution's row, defaults apart
    assert "risks.price_war.duration.pert.1" not in unsourced
    assert "streams.shop.growth" not in unsourced
    assert "streams.shop.growth" in [row["name"] for row in found["default"]]
    counted = len(found["plan"]) + len(found["assumption"]) + len(found["none"])
    assert run("register", small)[0].startswith(f"{counted} quantities: 1 from the plan (")
    assert list(json.loads(run("register", small, "--risks", "--json")[0])) == ["risks"]
    # a parameter has its distribution's source, a default none
    sources = {row["name"]: (row["origin"], row["source"]) for row in rows}
    assert sources["risks.price_war.probability.uniform.2"] == ("assumption", "assumption: two rivals")
    assert sources["risks.price_war.duration.pert.2"] == ("none", "")
    assert sources["streams.shop.growth"] == ("default", "")

    other = tmp_path / "other.toml"
    other.write_text('extends = "small.toml"\n[plan]\ntarget = 90e6\n[streams.shop]\ngrowth = 0.02\n')
    changed = {row["name"]: row for row in json.loads(run("diff", small, str(other), "--json")[0])}
    assert set(changed) == {"plan.target", "streams.shop.growth"}
    assert "plan.target" in run("diff", small, str(other))[0]
    assert "no difference" in run("diff", small, small)[0]


def test_diff_shows_what_is_no_number(small: str, tmp_path: Path) -> None:
    scenarios = Path(__file__).parents[1] / "scenarios"
    found = run("diff", str(scenarios / "reference.toml"), str(scenarios / "price_fund_beside.toml"), "--json")[0]
    row = {"name": "risks.price_war.response.fund", "before": "contingency", "after": "price_fund"}
    assert row in json.loads(found)

    (tmp_path / "first.toml").write_text(
        'extends = "small.toml"\n[plan]\nname = "[red]one"\n[seasons.retail]\nweights = [1,1,1,1,1,1,1,1,1,1,1,1]\n'
        '[targets.spring]\nmeasure = "revenue"\nmonths = [1, 2]\nat_least = 1\n[incentives]\ntiers = [[0, 0.01]]\n'
    )
    (tmp_path / "second.toml").write_text(
        'extends = "first.toml"\n[plan]\nname = "two"\n[streams.shop]\nseason = "retail"\nlabels.channel = "mall"\n'
        '[lines.ads]\nphasing = "retail"\n[risks.price_war]\nlevel = "yellow"\ntiming = "hazard"\nshape = "decay"\n'
        'duration = 2\n[targets.spring]\nmeasure = "margin_rate"\nwhere = "channel:mall"\nmonths = [1, 2, 3]\n'
        '[incentives]\nstreams = "shop"\n'
    )
    first, second = str(tmp_path / "first.toml"), str(tmp_path / "second.toml")
    changed = {
        row["name"]: (row["before"], row["after"]) for row in json.loads(run("diff", first, second, "--json")[0])
    }
    assert changed == {
        "plan.name": ("[red]one", "two"),
        "streams.shop.season": (None, "retail"),
        "streams.shop.labels.channel": ("shop", "mall"),
        "lines.ads.phasing": ("even", "retail"),
        "risks.price_war.level": ("red", "yellow"),
        "risks.price_war.timing": ("uniform", "hazard"),
        "risks.price_war.shape": ("step", "decay"),
        "risks.price_war.duration": ("pert [1, 2, 4]", "2"),
        **{f"risks.price_war.duration.pert.{j}": (value, None) for j, value in ((1, "1"), (2, "2"), (3, "4"))},
        "targets.spring.measure": ("revenue", "margin_rate"),
        "targets.spring.where": ("*", "channel:mall"),
        "targets.spring.months": ("1, 2", "1, 2, 3"),
        "incentives.streams": ("*", "shop"),
    }
    text = run("diff", first, second)[0]
    assert "[red]one" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("target", "unit"), [(20e6, "M CNY"), (5e6, "k CNY"), (20e3, "k CNY"), (5e3, "CNY")])
def test_the_unit_of_money_follows_the_target(tmp_path: Path, target: float, unit: str) -> None:
    from engine import forecast, load
    from engine.plots import fan, scurve

    file = tmp_path / "plan.toml"
    file.write_text(
        f"[plan]\ntarget = {target}\n[streams.shop]\nbaseline = {target}\nvolatility = 0.05\nmargin = 0.3\n"
        f"[funds.reserve]\namount = {target / 100}\n"
    )
    lines = run("run", str(file), "--paths", "2000", "--threads", "1")[0].splitlines()
    shown = target / {"M": 1e6, "k": 1e3, "C": 1.0}[unit[0]]
    assert re.match(rf"Expected revenue [\d,.]+ ± [\d.]+ {unit} \(sd [\d.]+", lines[2])
    assert f"target of {shown:,.1f}" in lines[2]
    assert next(line for line in lines if line.startswith("2024-01")).split()[1] == f"{shown / 12:,.1f}"
    assert any(line.startswith(f"Revenue, {unit} ") for line in lines)
    assert any(f"Fund, {unit} " in line for line in lines)
    assert max(map(len, lines)) <= 100
    charts = forecast(load(file), paths=2000, threads=1)
    assert fan(charts.fan).get_ylabel() == f"Cumulative revenue, {unit}"
    ax = scurve(charts.curve)
    assert ax.get_xlabel() == f"Revenue of the horizon, {unit}"
    assert f"the target, {shown:,.0f} {unit}. " in ax.texts[0].get_text()
    ax.figure.canvas.draw()
    ticks = [text.get_text() for text in ax.get_xticklabels()]
    assert len(set(ticks)) == len(ticks)


def test_the_register_of_the_reference_can_be_read() -> None:
    lines = run("register")[0].splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) < 800
    text = "\n".join(lines)
    for heading in ("plan: ", "seasons: ", "streams: ", "lines: ", "risks: ", "targets: "):
        assert f"\n{heading}" in text
    assert sum("weights.1 to 12" in line for line in lines) == 3  # an array in a row
    assert "severity.pert.3" in text  # a parameter with a source of its own
    assert "probability.uniform.1" not in text
    risks = run("register", "--risks")[0]
    for whole in ("side:online&product:high_end 1.2", "side:offline&product:business 0.5", "regional_policy_change"):
        assert whole in risks
    assert max(map(len, risks.splitlines())) <= 100


def test_selectors_and_names_break_only_at_their_marks(tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    label = "channel:shops_of_the_far_north&product:mass_and_light_models"
    labels = ", ".join("{} = '{}'".format(*pair.split(":")) for pair in label.split("&"))
    text = SMALL.replace('{ channel = "shop" }', f"{{ {labels} }}")
    file.write_text(text.replace("severity = 0.1", f'severity = 0.1\nexposure = {{ "{label}" = 0.25 }}'))
    for command in (["register", str(file)], ["knobs", str(file), "--match", "risks.*exposure*"]):
        text = run(*command)[0]
        assert max(map(len, text.splitlines())) <= 100
        for whole in ("channel:shops_of_the_far_north", "product:mass_and_light_models"):
            assert whole in text


def test_schema_and_validate(small: str) -> None:
    assert "plan" in json.loads(run("schema", "--json")[0])["properties"]
    assert "severity" in run("schema")[0]
    assert json.loads(run("validate", small, "--json")[0])["valid"]
    text = flat(run("validate", small)[0])
    assert "1 stream, 1 line, 1 fund, 1 risk, 0 targets" in text
    facts = json.loads(run("validate", small, "--json")[0])
    assert facts["knobs"] == sum(facts[count] for count in ("sourced", "assumed", "unsourced", "defaults"))
    assert (facts["sourced"], facts["assumed"]) == (1, 3)  # the distribution and both of its parameters
    assert f"1 from the plan, 3 assumed, {facts['unsourced']} without a source, {facts['defaults']} at their" in text


def test_calibrate_plan(small: str) -> None:
    assert json.loads(run("calibrate-plan", small, "--json")[0])["factor"] > 0
    text = flat(run("calibrate-plan", small)[0])
    assert "factor" in text
    assert "0.05 % above the target, which is what the factor aims at" in text


def test_every_command_works_without_a_scenario() -> None:
    for command in ("validate", "knobs", "register", "calibrate-plan"):
        assert run(command)[0]


def test_an_interrupt_ends_with_a_sentence(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.scenario.load.load", interrupted)
    out, err = run("run", small, code=130)
    assert out == ""
    assert err.startswith("Interrupted")


def test_python_m_engine_and_a_closed_pipe(small: str) -> None:
    command = f"'{sys.executable}' -m engine knobs '{small}' | head -n 1"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("worlds", [1, 256])
@pytest.mark.parametrize("risks", [0, 3, 40])
def test_summary_fits_a_page(worlds: int, risks: int) -> None:
    from rich.console import Console

    from engine.report.summary import summary

    console = Console(width=100, highlight=False)
    with console.capture() as capture:
        for part in summary(MadeUpForecast(worlds=worlds, risks=risks)):  # type: ignore[arg-type]
            console.print(part)
    text = capture.get()
    lines = text.splitlines()
    assert len(lines) <= 48
    if worlds > 1:
        both = "0.312 ± 0.0005 (sampling) ± 0.012 (worlds drawn)"
        assert lines[1] == f"P(attain) {both}, 0.12 to 0.55 in 90 % of worlds"
    else:
        assert lines[1].startswith("P(attain) 0.3123 ± 0.0005 (sampling), in one world")
    assert "contingency" in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
