"""The command about what matters: which knobs move the outcome, and what drives a miss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.base import (
    ChartsOption,
    JsonOption,
    Options,
    ScenarioArgument,
    SeedOption,
    SetOption,
    ThreadsOption,
    announce_compile,
    app,
    load,
    print_answer,
    progress,
    write_charts,
)
from engine.names import SENSITIVITY_METHODS, SENSITIVITY_OUTPUTS

if TYPE_CHECKING:
    from engine.analysis.sensitivity.drivers import MissDrivers


@app.command()
def sensitivity(
    scenario: ScenarioArgument = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="|".join(SENSITIVITY_METHODS), help="How knobs are varied.", show_default="tornado"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="|".join(SENSITIVITY_OUTPUTS), help="What is looked at.", show_default="p_attain"),
    ] = None,
    knob: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=RANGE]",
            help="A knob or a pattern, 'risks.*.probability', with 10% or LOW:HIGH where it is to move that far; may "
            "be repeated. Default: all uncertain knobs.",
            show_default=False,
        ),
    ] = None,
    spread: Annotated[
        str | None,
        typer.Option("--range", metavar="X%", help="Range of plain numbers, to both sides.", show_default=False),
    ] = None,
    drivers: Annotated[
        bool, typer.Option("--drivers", help="Instead: what sets years that miss apart from those that attain.")
    ] = False,
    paths: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Paths of each world: 50,000 for tornado and spider, else 2,000; with --drivers in all, 400,000.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Base samples: 512 for sobol (a power of 2), 50 trajectories for morris, 2,048 for pawn and rank.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = "1",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which of the numbers that nobody knows matter most, and what drives a miss."""
    options = Options("attain sensitivity")
    if method is not None:
        options.one_of("--method", method, SENSITIVITY_METHODS)
    if output is not None:
        options.one_of("--output", output, SENSITIVITY_OUTPUTS)
    share = options.share("--range", spread)
    n_paths = options.whole("--paths", paths, low=1)
    n_samples = options.whole("--samples", samples, low=1)
    if drivers:
        given = {"--method": method, "--output": output, "--knob": knob, "--range": spread, "--samples": samples}
        options.alone("--drivers", [name for name, value in given.items() if value])
    how = options.running(seed=seed, threads=threads, charts=charts)
    if drivers:
        _drivers(scenario, changes, n_paths, how, charts, as_json)
        return
    plan = load(scenario, changes)

    from engine.analysis.sensitivity.study import sensitivity as study

    with progress() as report:
        found = study(
            plan, method=method or "tornado", output=output or "p_attain", knobs=knob or (), share=share, paths=n_paths,
            samples=n_samples, progress=report, announce=announce_compile, tell=lambda text: typer.echo(text, err=True),
            **how,
        )  # fmt: skip
    if charts is not None:
        from engine.plots import save_sensitivity

        write_charts(lambda folder: save_sensitivity(found.dataset, folder), charts)
    from engine.report.sensitivity import sensitivity_parts

    print_answer(found, sensitivity_parts, as_json)


def _drivers(
    scenario: str | None,
    changes: list[str] | None,
    paths: int | None,
    how: dict[str, Any],
    charts: Path | None,
    as_json: bool,
) -> None:
    """What drives a miss."""
    plan = load(scenario, changes)

    from engine.analysis.sensitivity.drivers import PATHS, miss_drivers

    with progress() as report:
        found = miss_drivers(
            plan, paths=PATHS if paths is None else paths, progress=report, announce=announce_compile, **how
        )  # fmt: skip
    if charts is not None:
        _draw_densities(found, charts)
    from engine.report.drivers import driver_parts

    print_answer(found, driver_parts, as_json)


def _draw_densities(found: MissDrivers, folder: Path) -> None:
    if not found.telling:
        typer.echo("No chart: no driver can be told from chance.", err=True)
        return
    from engine.plots import save_density

    write_charts(lambda to: [file for name in found.telling for file in save_density(found.density(name), to)], folder)
