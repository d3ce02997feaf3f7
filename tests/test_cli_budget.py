"""The commands about money: what they print, what JSON holds, what they refuse, what they write."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import engine
from engine.cli import app

SMALL = """
[plan]
name = "Small"
target = 1250.0
budget = 60.0
[streams.shop]
baseline = 1200.0
volatility = 0.08
margin = 0.3
[lines.ads]
amount = 30.0
maximum = 50.0
response = { ceiling = 0.15, scale = 3.0 }
reach = { "*" = 1 }
[lines.stores]
amount = 10.0
unit = 10.0
response = { kind = "hill", ceiling = 0.1, scale = 2.0, slope = 3.0 }
reach = { "*" = 1 }
[lines.rent]
amount = 10.0
minimum = 10.0
[funds.reserve]
amount = 10.0
[risks.strike]
probability = { uniform = [0.2, 0.6] }
severity = 0.2
duration = 3.0
response = { effectiveness = 0.8, cost_ratio = 0.1, fund = "reserve" }
[targets.margin]
measure = "margin_rate"
at_least = 0.2
"""
CERTIFICATE = {
    "in_sample", "upper_bound", "gap", "bounds_what", "solver", "solver_version", "status", "mip_gap", "routes_agree",
    "vss",
}  # fmt: skip
runner = CliRunner()
QUICK = ("--paths", "8000")


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return str(file)


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stdout, result.stderr


def test_optimise_prints_json_and_writes_what_it_is_asked_for(small: str, tmp_path: Path) -> None:
    saved, out, charts = tmp_path / "best.toml", tmp_path / "best.json", tmp_path / "charts"
    text, said = run(
        "optimise", small, *QUICK, "--json", "--save", str(saved), "--out", str(out), "--charts", str(charts)
    )  # fmt: skip
    found = json.loads(text)
    assert set(found["allocation"]) == {"ads", "stores", "rent"} and set(found["funds"]) == {"reserve"}
    spent = sum(found["allocation"].values()) + sum(found["funds"].values())
    assert spent + found["unspent"] == pytest.approx(60.0)
    for name in ("p_attain", "p_attain_plan", "gain"):
        assert set(found[name]) >= {"value", "se"} and found[name]["se"] > 0
    assert found["certificate"].keys() >= CERTIFICATE
    assert found["certificate"]["upper_bound"] is None and found["certificate"]["routes_agree"] is None
    assert set(found["prices"]["ads"]) >= {"up", "down", "se"}
    assert found["timing"]["total_s"] > 0
    assert json.loads(out.read_text())["allocation"] == found["allocation"]
    assert sorted(file.name for file in charts.iterdir()) == ["allocation.png", "prices.png", "responses.png"]
    assert tomllib.loads(saved.read_text())["extends"] == "small.toml"
    assert engine.load(saved).lines["ads"].amount.value == pytest.approx(found["allocation"]["ads"])
    assert said.count("Wrote") == 5
    rows = json.loads(run("diff", small, str(saved), "--json")[0])
    assert {row["name"] for row in rows} >= {"lines.ads.amount"}


@pytest.mark.parametrize("objective", ["p_attain", "expected_revenue", "cvar_shortfall", "joint", "robust"])
def test_every_objective_can_be_read(small: str, objective: str) -> None:
    text, _ = run("optimise", small, *QUICK, "--objective", objective, "--alpha", "0.8")
    assert "P(attain)" in text and "reserve" in text and "unspent" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_least_budget_is_below_the_plan(small: str) -> None:
    found = json.loads(run("optimise", small, *QUICK, "--objective", "min_budget", "--confidence", "0.5", "--json")[0])
    assert found["budget"] < 60.0 and found["objective"] == "min_budget"
    _, said = run("optimise", small, *QUICK, "--objective", "min_budget", "--set", "plan.target=1800", code=2)
    assert "out of reach" in said


def test_certify_fills_the_certificate(small: str) -> None:
    arguments = ("optimise", small, *QUICK, "--certify")
    proof = json.loads(run(*arguments, "--json")[0])["certificate"]
    assert set(proof["upper_bound"]) == {"value", "lo", "hi"}
    assert proof["gap"] >= 0 and "model" in proof["bounds_what"] and proof["routes_agree"] in (True, False)
    text = " ".join(run(*arguments)[0].split())
    assert "Upper bound P" in text and "The routes" in text


def test_set_and_table_reach_the_optimiser(small: str, tmp_path: Path) -> None:
    child = tmp_path / "child.toml"
    child.write_text('extends = "small.toml"\n[optimise]\nfixed = ["ads"]\nphasing = "quarters"\n')
    found = json.loads(run("optimise", str(child), *QUICK, "--json", "--set", "lines.ads.amount=25")[0])
    assert found["allocation"]["ads"] == 25.0
    assert found["phasing"] == {}  # ads are held, stores go in units: nothing is left to split
    again = json.loads(run("optimise", small, *QUICK, "--json", "--set", 'optimise.phasing="quarters"')[0])
    assert len(again["phasing"]["ads"]) == 12 and sum(again["phasing"]["ads"]) == pytest.approx(1.0)
    assert "By quarter" in run("optimise", small, *QUICK, "--set", 'optimise.phasing="quarters"')[0]


def test_frontier_and_regret(small: str, tmp_path: Path) -> None:
    quick = ("--paths", "4000", "--points", "3")
    found = json.loads(run("frontier", small, *quick, "--json", "--charts", str(tmp_path / "c"))[0])
    assert found["of"] == "budget" and len(found["points"]) == 3
    assert (tmp_path / "c" / "frontier_budget.png").exists()
    text, _ = run("frontier", small, *quick, "--of", "reserve")
    assert "(plan)" in text and "reserve" in text
    table = json.loads(run("regret", small, small, "--paths", "4000", "--json")[0])
    assert table["worst_regret"]["optimum"] == 0.0 and len(table["table"]["plan"]) == 2
    assert "worst case" in run("regret", small, "--paths", "4000")[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["optimise", "--objective", "fame"], "--objective: 'fame' is not known"),
        (["optimise", "--alpha", "1"], "--alpha: 1 is no number between 0 and 1"),
        (["optimise", "--confidence", "2"], "--confidence: 2 is no number between 0 and 1"),
        (["optimise", "--solver", "abacus"], "--solver: 'abacus' is not known"),
        (["optimise", "--time-limit", "0"], "--time-limit: 0 is no number"),
        (["optimise", "--paths", "0"], "attain optimise: --paths: 0 is below 1"),
        (["optimise", "--save", "best.json"], "does not end in .toml"),
        (["optimise", "--out", "nowhere/best.json"], "nowhere does not exist"),
        (["optimise", "--set", "lines.ads.minimum=55"], "lines.ads"),
        (["optimise", "--set", "plan.budget=15"], "lines and funds sum to"),
        (["optimise", "--set", 'optimise.fixed=["advertising"]'], "no line or fund is called 'advertising'"),
        (["optimise", "--set", 'optimise.groups={g={members=["ads"]}}'], "optimise.groups.g: no bound is given"),
        (["optimise", "--set", 'optimise.groups={g={members=["ads"], at_least=0.9}}'], "optimise.groups.g"),
        (["optimise", "--set", 'optimise.phasing="days"'], "optimise.phasing"),
        (["frontier", "--points", "1"], "--points: 1 is below 2"),
        (["frontier", "--of", "chest"], "'chest' is neither 'budget' nor a fund; funds are reserve"),
        (["frontier", "--low", "80", "--high", "70"], "there is nothing between 80 and 70"),
        (["regret", "--seed", "-1"], "attain regret: --seed: -1 is below 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(small: str, arguments: list[str], named: str) -> None:
    command, *rest = arguments
    _, said = run(command, small, *rest, code=2)
    assert named in " ".join(said.split())


def test_the_answer_never_overwrites_what_it_extends(small: str, tmp_path: Path) -> None:
    child = tmp_path / "child.toml"
    child.write_text('extends = "small.toml"\n')
    for target in (small, str(child)):
        _, said = run("optimise", str(child), "--save", target, code=2)
        assert "is a scenario that the answer would extend" in " ".join(said.split())
    assert "[streams.shop]" in Path(small).read_text()


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    odd = SMALL.replace("lines.ads", 'lines."ads[/b]$x$"').replace("funds.reserve", 'funds."re/serve"')
    file.write_text(odd.replace('fund = "reserve"', 'fund = "re/serve"'))
    text, _ = run("optimise", str(file), *QUICK, "--charts", str(tmp_path / "c"))
    assert "ads[/b]$x$" in text
    run("frontier", str(file), "--paths", "2000", "--points", "2", "--of", "re/serve", "--charts", str(tmp_path / "c"))
    assert (tmp_path / "c" / "frontier_re_serve.png").exists()


def test_quarters_carry_their_calendar_names(small: str) -> None:
    changes = ("--set", 'optimise.phasing="quarters"', "--set", "plan.months=24", "--set", 'plan.start="2024-11"')
    text, _ = run("optimise", small, *QUICK, *changes)
    assert "2024 Q4" in text and "2026 Q4" in text
    assert max(map(len, text.splitlines())) <= 100
