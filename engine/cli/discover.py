"""The command that says what kind of year misses the plan."""

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
    announce_compile,
    app,
    load,
    print_json,
    print_parts,
    progress,
    write_charts,
)

if TYPE_CHECKING:
    from engine.analysis.discovery.study import Discovery


@app.command()
def discover(
    scenario: ScenarioArgument = None,
    miss: Annotated[
        str, typer.Option(metavar="SHARE", help="A year misses where it is below the target by more than this.")
    ] = "0",
    reverse: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Also the most likely way to miss by about this, such as 0.1.", show_default=False
        ),
    ] = None,
    most: Annotated[str, typer.Option(metavar="N", help="Restrictions of one kind of year, at most.")] = "4",
    least_mass: Annotated[
        str, typer.Option("--least-mass", metavar="SHARE", help="Share of all years that a kind holds at least.")
    ] = "0.05",
    boxes: Annotated[str, typer.Option(metavar="N", help="Kinds of years, at most.")] = "3",
    signs: Annotated[
        bool, typer.Option("--signs", help="Search also what follows from a bad year: money left in the funds.")
    ] = False,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="NAME",
            help="A factor not to be searched; * stands for anything; may be repeated.",
            show_default=False,
        ),
    ] = None,
    paths: Annotated[str, typer.Option(metavar="N", help="Fresh paths (simulated years) to measure on.")] = "100_000",
    search: Annotated[
        str, typer.Option(metavar="N", help="Paths to search, and as many again to choose on.")
    ] = "20_000",
    worlds: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Worlds of each. Default: 2000, or 1 where nothing is uncertain.", show_default=False
        ),
    ] = None,
    seed: SeedOption = "1",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What kind of year misses the plan, in words; and the most likely way to miss it by so much."""
    options = Options("attain discover")
    share = options.fraction("--miss", miss)
    by = options.number("--reverse", reverse, above=0.0, below=1.0)
    n_most = options.whole("--most", most, low=1)
    mass = options.number("--least-mass", least_mass, above=0.0, below=1.0)
    n_boxes = options.whole("--boxes", boxes, low=1)
    n_paths = options.whole("--paths", paths, low=1)
    n_search = options.whole("--search", search, low=1)
    how = options.running(seed=seed, threads=threads, charts=charts, worlds=worlds)
    assert share is not None and n_most is not None and mass is not None and n_boxes is not None
    assert n_paths is not None and n_search is not None
    plan = load(scenario, changes)

    from engine.analysis.discovery.study import discover as study

    with progress(of_paths=False) as report:
        found = study(
            plan, miss=share, reverse_by=by, paths=n_paths, search=n_search, most=n_most, least_mass=mass,
            most_boxes=n_boxes, signs=signs, leave_out=leave_out or (), progress=report, announce=announce_compile,
            **how,
        )  # fmt: skip
    if charts is not None:
        _draw(found, charts)
    if as_json:
        from engine.report.discovery import reverse_sentences, sentences

        words = sentences(found) + ([] if found.reverse is None else reverse_sentences(found.reverse))
        print_json({"words": words, **found.to_json()})
    else:
        from engine.report.discovery import discovery_parts

        print_parts(*discovery_parts(found))


def _draw(found: Discovery, folder: Path) -> None:
    if not found.boxes:
        typer.echo("No kind of year was found: there is nothing to draw.", err=True)
        return
    from engine.plots import save_discovery

    write_charts(lambda target: save_discovery(found, target), folder)
