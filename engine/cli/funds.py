"""Commands about money held back."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.base import (
    MAX_SEED,
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
    write_charts,
)


@app.command()
def contingency(
    scenario: ScenarioArgument = None,
    fund: Annotated[
        str | None,
        typer.Option(metavar="FUND", help="The fund whose size is varied. Default: the first.", show_default=False),
    ] = None,
    confidence: Annotated[str, typer.Option(metavar="P", help="Of the split to risks and of the release.")] = "0.8",
    paths: Annotated[str, typer.Option(metavar="N", help="Paths (simulated years) in all.")] = "200_000",
    worlds: WorldsOption = None,
    seed: SeedOption = "1",
    changes: SetOption = None,
    threads: ThreadsOption = None,
    charts: ChartsOption = None,
    as_json: JsonOption = False,
) -> None:
    """How much the funds need, with which confidence, when, for which risks, and how it may be given back."""
    options = Options("attain contingency")
    n_paths = options.whole("--paths", paths, low=1)
    n_worlds = options.whole("--worlds", worlds, low=1)
    the_seed = options.whole("--seed", seed, low=0, high=MAX_SEED)
    n_threads = options.whole("--threads", threads, low=1)
    sure = options.number("--confidence", confidence, above=0.0, below=1.0)
    options.folder("--charts", charts)
    options.check()
    assert n_paths is not None and the_seed is not None and sure is not None
    plan = load(scenario, changes)

    from engine.analysis.contingency import contingency as study

    with progress() as report:
        found = study(
            plan, fund=fund, confidence=sure, paths=n_paths, worlds=n_worlds, seed=the_seed, threads=n_threads,
            progress=report, announce=announce_compile,
        )  # fmt: skip
    if charts is not None:
        from engine.plots import save_contingency

        write_charts(lambda folder: save_contingency(found.curve_dataset, found.drawn_dataset, folder), charts)
    if as_json:
        print_json(found.to_json())
    else:
        from engine.report.contingency import contingency_parts

        print_parts(*contingency_parts(found))
