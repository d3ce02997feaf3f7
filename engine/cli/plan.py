"""Commands about a plan: how likely it is, what it says, where its numbers come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.base import (
    BAD_INPUT,
    MAX_SEED,
    ChartsOption,
    JsonOption,
    Options,
    ScenarioArgument,
    ScenarioArguments,
    SeedOption,
    SetOption,
    ThreadsOption,
    WorldsOption,
    announce_compile,
    app,
    load,
    print_json,
    print_parts,
    progress,
    write_charts,
)
from engine.errors import EngineError, Fault

if TYPE_CHECKING:
    from engine.analysis.attainment import Forecast
    from engine.scenario.model import Scenario


@app.command()
def run(
    scenario: ScenarioArgument = None,
    paths: Annotated[str, typer.Option(metavar="N", help="Paths (simulated years) in all.")] = "1_000_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    changes: SetOption = None,
    sampler: Annotated[str, typer.Option(metavar="random|sobol", help="How paths are drawn.")] = "random",
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="SE", help="Add paths until the sampling error of P(attain) is at most this.", show_default=False
        ),
    ] = None,
    threads: ThreadsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.nc", help="Write every path's figures as NetCDF.", show_default=False)
    ] = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate the plan and say how likely it is to be met."""
    options = Options("attain run")
    n_paths = options.whole("--paths", paths, low=1)
    n_worlds = options.whole("--worlds", worlds, low=1)
    the_seed = options.whole("--seed", seed, low=0, high=MAX_SEED)
    n_threads = options.whole("--threads", threads, low=1)
    goal = options.number("--precision", precision, above=0.0, below=0.5)
    options.one_of("--sampler", sampler, ("random", "sobol"))
    options.file("--out", out, suffix=".nc")
    options.folder("--charts", charts)
    options.check()
    assert n_paths is not None and the_seed is not None
    plan = load(scenario, changes)

    from engine.analysis.attainment import forecast
    from engine.simulation import result_bytes_per_path

    with progress() as report:
        result = forecast(
            plan,
            paths=n_paths,
            worlds=n_worlds,
            seed=the_seed,
            sampler=sampler,
            precision=goal,
            threads=n_threads,
            progress=report,
            announce=announce_compile,
            reserve=0 if out is None else result_bytes_per_path(plan),
        )
    if out is not None:
        _write_result(plan, result, out, seed=the_seed, sampler=sampler, threads=n_threads)
    if charts is not None:
        from engine.plots import save_forecast

        write_charts(lambda folder: save_forecast(result, folder), charts)
    if as_json:
        print_json(result.to_json())
    else:
        from engine.report.summary import summary

        print_parts(*summary(result))


@app.command()
def validate(scenarios: ScenarioArguments = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Check scenarios and list every fault of all of them at once."""
    from engine.report.registers import contents, contents_text

    several = len(scenarios or ()) > 1
    found: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for scenario in scenarios or (None,):
        name = {"file": scenario} if several else {}
        try:
            plan = load(scenario, changes)
        except EngineError as error:
            faults += error.faults or [Fault(str(scenario), "", str(error))]
            found.append(name | {"valid": False, "faults": error.faults, "message": str(error)})
        else:
            facts = contents(plan)
            found.append(name | {"valid": True, **facts})
            if not as_json:
                print_parts(contents_text(facts, plan.file))
    if as_json:
        print_json(found if several else found[0])
        if faults:
            raise typer.Exit(BAD_INPUT)
    elif faults:
        raise EngineError(faults=faults)


@app.command()
def schema(as_json: JsonOption = False) -> None:
    """Everything a scenario file may say: fields, defaults and units."""
    from engine.report.registers import schema_table
    from engine.scenario.model import Scenario

    found = Scenario.model_json_schema(by_alias=True)
    if as_json:
        print_json(found)
    else:
        print_parts(schema_table(found))


@app.command()
def knobs(
    scenario: ScenarioArgument = None,
    changes: SetOption = None,
    match: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only knobs like this, e.g. 'risks.*'.", show_default=False)
    ] = None,
    uncertain: Annotated[bool, typer.Option("--uncertain", help="Only what is drawn once a world.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List every number of a scenario by its dotted name, with its source."""
    from engine.report.registers import knob_rows, knob_table

    rows = knob_rows(load(scenario, changes), match=match, uncertain=uncertain)
    if as_json:
        print_json(rows)
    else:
        print_parts(knob_table(rows))


@app.command()
def register(
    scenario: ScenarioArgument = None,
    changes: SetOption = None,
    risks: Annotated[bool, typer.Option("--risks", help="The risk register alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The register of assumptions: what is from the plan, what is assumed, what has no source; then the risks."""
    from engine.report.registers import assumption_parts, assumption_rows, risk_rows, risk_table

    plan = load(scenario, changes)
    found = {"risks": risk_rows(plan)}
    if not risks:
        found = assumption_rows(plan) | found
    if as_json:
        print_json(found)
    else:
        if not risks:
            print_parts(*assumption_parts(found))
        print_parts(risk_table(found["risks"]))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A scenario file.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another one.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """What the second scenario changes in the first, knob by knob."""
    from engine.report.registers import diff_rows, diff_table

    rows = diff_rows(load(first, None), load(second, None))
    if as_json:
        print_json(rows)
    else:
        print_parts(diff_table(rows, first, second))


@app.command("calibrate-plan")
def calibrate_plan(scenario: ScenarioArgument = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """The factor on the response ceilings with which the plan, without risk and noise, ends 0.05 % above its target."""
    from engine.analysis.calibrate import ceiling_factor
    from engine.report.registers import calibration_text

    plan = load(scenario, changes)
    answer = ceiling_factor(plan)
    if as_json:
        print_json(answer.to_json())
    else:
        print_parts(calibration_text(answer, plan.plan.currency))


def _write_result(plan: Scenario, result: Forecast, out: Path, **how: Any) -> None:
    """The Dataset of all paths: the very run of the forecast, whose paths and worlds may have been chosen by it."""
    from engine.dataset import save
    from engine.simulation import simulate

    figures = result.to_json()
    dataset = simulate(plan, paths=figures["paths"], worlds=figures["worlds"], **how)
    save(dataset, out)
    typer.echo(f"Wrote {out}", err=True)
