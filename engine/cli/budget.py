"""Commands about money: set it out, trade it, and see what each way of setting it out gives up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.base import (
    INTERRUPTED,
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
    print_answer,
    progress,
    stages,
    write_charts,
)
from engine.names import OBJECTIVES

if TYPE_CHECKING:
    from engine.budget.allocation import Allocation

PathsOption = Annotated[str, typer.Option("--paths", metavar="N", help="Paths on which money is set out.")]
SolverOption = Annotated[str, typer.Option("--solver", metavar="highs|cbc", help="Solver of the models.")]


def _common(options: Options, paths: str, worlds: str | None, seed: str, solver: str, threads: str | None) -> dict:
    """The options that all commands here share, checked, under the names of the library."""
    options.one_of("--solver", solver, ("highs", "cbc"))
    return {
        "paths": options.whole("--paths", paths, low=1),
        "worlds": options.whole("--worlds", worlds, low=1),
        "seed": options.whole("--seed", seed, low=0, high=MAX_SEED),
        "solver": solver,
        "threads": options.whole("--threads", threads, low=1),
        "announce": announce_compile,
    }


@app.command()
def optimise(
    scenario: ScenarioArgument = None,
    objective: Annotated[
        str, typer.Option(metavar="|".join(OBJECTIVES), help="What is to be best.", show_default="p_attain")
    ] = "p_attain",
    alpha: Annotated[str, typer.Option(metavar="A", help="Of cvar_shortfall: the worst 1 - A of all years.")] = "0.9",
    confidence: Annotated[str, typer.Option(metavar="P", help="Of min_budget: P(attain) to be reached.")] = "0.8",
    paths: PathsOption = "200_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    solver: SolverOption = "highs",
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="S", help="Seconds after which the search ends with the best found.", show_default=False),
    ] = None,
    certify: Annotated[
        bool, typer.Option("--certify", help="Bound the optimum from above by a second route; 2 to 3 minutes.")
    ] = False,
    changes: SetOption = None,
    threads: ThreadsOption = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Write the answer as a scenario that extends this one.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Also write the answer as JSON.", show_default=False)
    ] = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the budget out across lines and funds so that attainment is most likely, and say how good that is."""
    options = Options("attain optimise")
    how = _common(options, paths, worlds, seed, solver, threads)
    options.one_of("--objective", objective, OBJECTIVES)
    how |= {
        "objective": objective,
        "alpha": options.number("--alpha", alpha, above=0.0, below=1.0),
        "confidence": options.number("--confidence", confidence, above=0.0, below=1.0),
        "time_limit": options.number("--time-limit", time_limit, above=0.0, below=1e6),
        "certify": certify,
    }
    options.file("--save", save, suffix=".toml")
    options.no_parent("--save", save, scenario)
    options.file("--out", out, suffix=".json")
    options.folder("--charts", charts)
    options.check()
    plan = load(scenario, changes)

    from engine.budget.optimise import optimise as solve

    with stages() as report:
        found = solve(plan, report=report, **how)
    if save is not None:
        _save(found, save, scenario)
    if out is not None:
        _write_json(found.to_json(), out)
    if charts is not None:
        from engine.plots import save_allocation

        write_charts(lambda folder: save_allocation(found.dataset, folder), charts)

    from engine.report.budget import allocation_parts

    print_answer(found, allocation_parts, as_json)


@app.command()
def frontier(
    scenario: ScenarioArgument = None,
    of: Annotated[
        str, typer.Option(metavar="budget|FUND", help="What varies: the budget, or what a fund holds.")
    ] = "budget",
    points: Annotated[str, typer.Option(metavar="N", help="Amounts to try, besides the plan's own.")] = "11",
    low: Annotated[
        str | None, typer.Option(metavar="MONEY", help="Least amount. Default: 60 % of the budget.", show_default=False)
    ] = None,
    high: Annotated[
        str | None, typer.Option(metavar="MONEY", help="Greatest. Default: 140 % of the budget.", show_default=False)
    ] = None,
    paths: PathsOption = "100_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    solver: SolverOption = "highs",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """P(attain) against money: the budget as a whole, or what one fund holds of it, the rest set out best each time."""
    options = Options("attain frontier")
    how = _common(options, paths, worlds, seed, solver, threads)
    how |= {
        "of": of,
        "points": options.whole("--points", points, low=2, high=1000),
        "low": options.number("--low", low, above=-1.0, below=1e15),
        "high": options.number("--high", high, above=0.0, below=1e15),
    }
    options.folder("--charts", charts)
    options.check()
    plan = load(scenario, changes)

    from engine.budget.frontier import frontier as trade

    with stages() as report:
        found = trade(plan, report=report, **how)
    if charts is not None:
        from engine.plots import save_frontier

        write_charts(lambda folder: save_frontier(found.dataset, folder), charts)

    from engine.report.budget import frontier_parts

    print_answer(found, frontier_parts, as_json)


@app.command()
def regret(
    scenarios: ScenarioArguments = None,
    paths: PathsOption = "100_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    solver: SolverOption = "highs",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Five ways to set out the first scenario's money, and what each gives up in every scenario.

    Without a name: the reference plan and its variants.
    """
    options = Options("attain regret")
    how = _common(options, paths, worlds, seed, solver, threads)
    options.check()
    plans = [load(name, changes) for name in scenarios or _reference_and_variants()]

    from engine.budget.regret import regret as compare

    with stages() as report:
        found = compare(plans, report=report, **how)

    from engine.report.budget import regret_parts

    print_answer(found, regret_parts, as_json)


@app.command()
def decision(
    scenario: ScenarioArgument = None,
    knob: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=RANGE]",
            help="A knob or a pattern, 'risks.*.probability', with 10% or LOW:HIGH where it is to move that far; may "
            "be repeated. Default: all uncertain knobs, the target, and what the lines' responses are made of.",
            show_default=False,
        ),
    ] = None,
    spread: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="X%",
            help="Range of plain numbers, to both sides; 10 % where no --knob is given.",
            show_default=False,
        ),
    ] = None,
    least: Annotated[
        str, typer.Option(metavar="X%", help="Points of P(attain) from which on a decision counts as changed.")
    ] = "0.1%",
    every: Annotated[
        bool, typer.Option("--all", help="Set money out anew at every end, also where no move promises a gain.")
    ] = False,
    paths: PathsOption = "100_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    solver: SolverOption = "highs",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which numbers would change how money is set out, and what keeping the present optimum would then cost."""
    options = Options("attain decision")
    how = _common(options, paths, worlds, seed, solver, threads)
    how |= {"share": options.share("--range", spread), "least": options.share("--least", least, "0.1%"), "every": every}
    options.folder("--charts", charts)
    options.check()
    plan = load(scenario, changes)

    from engine.budget.decision import decision_sensitivity

    with progress(of_paths=False) as report:
        found = decision_sensitivity(
            plan, knobs=knob or (), progress=report, tell=lambda text: typer.echo(text, err=True), **how
        )
    if charts is not None:
        from engine.plots import save_decision

        write_charts(lambda folder: save_decision(found.dataset, folder), charts)

    from engine.report.decision import decision_parts

    print_answer(found, decision_parts, as_json)
    if found.unfinished:
        typer.echo(f"Interrupted: {len(found.unfinished)} of the knobs left out.", err=True)
        raise typer.Exit(INTERRUPTED)


def _reference_and_variants() -> list[str]:
    from engine.scenario.load import reference_path

    first = reference_path()
    return [str(first), *(str(path) for path in sorted(first.parent.glob("*.toml")) if path != first)]


def _save(found: Allocation, target: Path, scenario: str | None) -> None:
    from engine.scenario.load import reference_path

    found.save(target, extends=reference_path() if scenario is None else scenario)
    typer.echo(f"Wrote {target}", err=True)


def _write_json(data: Any, target: Path) -> None:
    import json

    from engine.report.figures import plain_data
    from engine.store import write_text

    write_text(target, json.dumps(plain_data(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    typer.echo(f"Wrote {target}", err=True)
