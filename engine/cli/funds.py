"""Commands about money held back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.base import (
    ChartsOption,
    JsonOption,
    Options,
    ScenarioArgument,
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
    stages,
    write_charts,
)

if TYPE_CHECKING:
    from engine.analysis.contingency import Contingency
    from engine.budget.frontier import Frontier
    from engine.scenario.model import Scenario


@app.command()
def contingency(
    scenario: ScenarioArgument = None,
    fund: Annotated[
        str | None,
        typer.Option(metavar="FUND", help="The fund whose size is varied. Default: the first.", show_default=False),
    ] = None,
    confidence: Annotated[str, typer.Option(metavar="P", help="Of the split to risks and of the release.")] = "0.8",
    risks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Risks that share in the Shapley values. Default: all.", show_default=False
        ),
    ] = None,
    paths: Annotated[str, typer.Option(metavar="N", help="Paths (simulated years) in all.")] = "200_000",
    choices: Annotated[
        str, typer.Option(metavar="N", help="Paths that are simulated again for every set of risks and every answer.")
    ] = "20_000",
    trade_off: Annotated[
        bool, typer.Option("--trade-off", help="Also the fund's best size where its money is taken from the lines.")
    ] = False,
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """How much the funds need, with which confidence and when; what each risk takes; what each answer is worth."""
    options = Options("attain contingency")
    n_paths = options.whole("--paths", paths, low=1)
    n_choices = options.whole("--choices", choices, low=1)
    sure = options.number("--confidence", confidence, above=0.0, below=1.0)
    how = options.running(seed=seed, threads=threads, charts=charts, worlds=worlds)
    assert n_paths is not None and n_choices is not None and sure is not None
    plan = load(scenario, changes)

    from engine.analysis.contingency import contingency as study

    with progress(of_paths=False) as report:
        found = study(
            plan, fund=fund, confidence=sure, risks=None if risks is None else [r.strip() for r in risks.split(",")],
            paths=n_paths, choices=n_choices, progress=report, announce=announce_compile, **how,
        )  # fmt: skip
    traded = _trade_off(plan, found, how["threads"]) if trade_off else None
    if charts is not None:
        _draw(found, traded, charts)
    if as_json:
        print_json({**found.to_json(), "trade_off": None if traded is None else traded.to_json()})
    else:
        from engine.report.contingency import contingency_parts, trade_off_parts

        print_parts(*contingency_parts(found), *([] if traded is None else trade_off_parts(traded)))


def _trade_off(plan: Scenario, found: Contingency, threads: int | None) -> Frontier:
    """P(attain) by the size of the fund, the rest of the budget set out best."""
    from engine.budget.frontier import frontier

    run = found.needs.run
    with stages() as report:
        return frontier(
            plan, of=found.fund, paths=min(run.n_paths, 100_000), fresh_paths=run.n_paths, seed=run.seed,
            threads=threads, report=report,
        )  # fmt: skip


def _draw(found: Contingency, traded: Frontier | None, folder: Path) -> None:
    from engine.plots import save_contingency, save_frontier

    def draw(target: Path) -> list[Path]:
        return save_contingency(found, target) + ([] if traded is None else save_frontier(traded.dataset, target))

    write_charts(draw, folder)
