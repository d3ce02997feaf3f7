"""Commands about what may go wrong: the plan against named stresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.base import (
    ChartsOption,
    JsonOption,
    Options,
    SeedOption,
    SetOption,
    ThreadsOption,
    WorldsOption,
    announce_compile,
    app,
    load,
    print_answer,
    progress,
    write_charts,
)
from engine.errors import EngineError, Fault, ScenarioError

if TYPE_CHECKING:
    from engine.scenario.model import Scenario


@app.command()
def stress(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO...",
            help="Stressed scenarios (.toml); the library of stresses where none is given.",
            show_default=False,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="FILE",
            help="The plan as it is, which the stresses extend; the reference plan where none is given.",
            show_default=False,
        ),
    ] = None,
    paths: Annotated[str, typer.Option(metavar="N", help="Paths (simulated years) of each scenario.")] = "200_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What price wars, lost customers and other named stresses do to the plan, on the same simulated years."""
    options = Options("attain stress")
    n_paths = options.whole("--paths", paths, low=1)
    if base is not None and not scenarios:
        message = "goes with scenarios: the library changes the reference plan, not this one"
        options.faults.append(Fault("attain stress", "--base", message, f"name stresses that extend {base}"))
    how = options.running(seed=seed, threads=threads, charts=charts, worlds=worlds)
    assert n_paths is not None
    plan, *stressed = _load_all([base, *(scenarios or _library())], changes)

    _tell_strangers(base, scenarios or ())

    from engine.analysis.stress import stress as study

    with progress() as report:
        found = study(plan, stressed, paths=n_paths, progress=report, announce=announce_compile, **how)
    if charts is not None:
        from engine.plots import save_stress

        write_charts(lambda folder: save_stress(found.dataset, folder), charts)
    from engine.report.stress import stress_parts

    print_answer(found, stress_parts, as_json)


def _library() -> list[str]:
    from engine.scenario.library import stress_paths

    return [str(path) for path in stress_paths()]


def _tell_strangers(base: str | None, scenarios: Sequence[str]) -> None:
    """Say which scenarios are no stresses of the base: they do not extend it, so that other numbers differ as well."""
    from engine.scenario.load import files, reference_path

    plan = files(reference_path() if base is None else base)[0]
    strangers = [name for name in scenarios if plan not in files(name)]
    if strangers:
        verb = "does" if len(strangers) == 1 else "do"
        which = f"{', '.join(strangers)} {verb} not extend {plan.name}"
        typer.echo(f"Note: {which}: differences are between two plans; see --base.", err=True)


def _load_all(files: Sequence[str | None], changes: Sequence[str] | None) -> list[Scenario]:
    """Every file with the changes, or the faults of all of them at once, each once."""
    found: list[Scenario] = []
    faults: dict[Fault, None] = {}
    for file in files:
        try:
            found.append(load(file, changes))
        except EngineError as error:
            faults |= dict.fromkeys(error.faults or (Fault(str(file), "", str(error)),))
    if faults:
        raise ScenarioError(faults=list(faults))
    return found
