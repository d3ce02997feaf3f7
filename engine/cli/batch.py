"""Command about many worlds at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.base import (
    INTERRUPTED,
    JsonOption,
    Options,
    ThreadsOption,
    announce_compile,
    app,
    print_json,
    print_parts,
    progress,
)
from engine.errors import Fault
from engine.names import BATCH_FILES


@app.command()
def batch(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="BATCH",
            help="A batch file (.toml); not needed with --status or --export alone.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", metavar="DIR", help="Folder of the results; needed.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store that was interrupted.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how far the store is, and simulate nothing.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write a row a world to a .parquet, .csv, .xlsx or .nc file.",
            show_default=False,
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="WHERE",
            help="Simulate on a cluster: local:4, or the address of a scheduler. Never changes a digit.",
            show_default=False,
        ),
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Many worlds at once, by a grid, a design or a list of files, into a store that can be gone on with."""
    options = Options("attain batch")
    n_threads = options.whole("--threads", threads, low=1)
    if file is None and not status and export is None:
        options.faults.append(Fault(options.command, "BATCH", "is missing", "name a batch file"))
    if store is None:
        options.faults.append(Fault(options.command, "--store", "is missing", "name a folder for the results"))
    if status and resume:
        options.faults.append(Fault(options.command, "--status", "simulates nothing", "drop it, or --resume"))
    if dask is not None:
        _check_place(options, dask, simulates=file is not None and not status)
    if export is not None and export.suffix not in BATCH_FILES:
        message, remedy = f"{export} does not end in {' or '.join(BATCH_FILES)}", "name a file that does"
        options.faults.append(Fault(options.command, "--export", message, remedy))
    elif export is not None:
        options.file("--export", export, export.suffix)
    options.check()
    assert store is not None

    from engine.batch.summary import status as status_of
    from engine.batch.summary import summary
    from engine.report.batch import batch_parts, status_parts

    before = _run(file, store, resume, n_threads, dask) if file is not None and not status else None
    if export is not None:
        from engine.batch.export import export as write

        typer.echo(f"Wrote {write(store, export)}", err=True)
    if status or before is None:
        found = status_of(store)
        print_json(found.to_json()) if as_json else print_parts(*status_parts(found))
    else:
        whole = summary(store)
        print_json(whole.to_json()) if as_json else print_parts(*batch_parts(whole, before))


def _check_place(options: Options, dask: str, simulates: bool) -> None:
    from engine.batch.place import REMEDY, fault

    wrong = fault(dask)
    if wrong is not None:
        options.faults.append(Fault(options.command, "--dask", wrong, REMEDY))
    if not simulates:
        options.faults.append(Fault(options.command, "--dask", "there is nothing to simulate", "drop it"))


def _announce_workers() -> None:
    """Say why it takes long until workers do something."""
    typer.echo(
        "Getting the workers ready: on a machine that runs the engine for the first time this takes a minute or so.",
        err=True,
    )


def _run(file: str, store: Path, resume: bool, threads: int | None, dask: str | None) -> int:
    """Simulate what the store lacks; gives the number of worlds that were there before."""
    from engine.batch.run import run_batch as simulate
    from engine.batch.store import exists
    from engine.batch.summary import status as status_of

    def there() -> int:
        found = status_of(store) if exists(store) else None
        return 0 if found is None else found.worlds - found.missing

    before = there()
    try:
        with progress() as report:
            announce = announce_compile if dask is None else _announce_workers
            simulate(file, store, resume=resume, threads=threads, dask=dask, progress=report, announce=announce)
    except KeyboardInterrupt:
        where = "" if dask is None else f" --dask {dask}"
        done = f"{there():,} worlds are in {store}" if exists(store) else "nothing was stored"
        typer.echo(f"Interrupted: {done}. Go on with: attain batch {file} --store {store}{where} --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    return before
