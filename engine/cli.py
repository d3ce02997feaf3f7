"""The command line ``attain``.

Whatever a command needs is imported inside it, so that ``attain --help`` answers at once. Results go to stdout,
everything else (progress, faults, where files went) to stderr. Exit codes: 0 done, 2 the input was not right, 130
interrupted.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from engine.errors import EngineError, Fault, StoreError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from engine.analysis.attainment import Forecast
    from engine.scenario.model import Scenario

BAD_INPUT = 2
INTERRUPTED = 130
WIDTH = 100
MAX_SEED = 2**64 - 1


class Commands(TyperGroup):
    """The group of commands: turns the engine's errors into text and an exit code, in one place."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EngineError as error:
            show_error(error)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted before the end: there is no result.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader (`| head`) has gone; without this Python complains once more while it shuts down.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How likely a sales plan is to be met, what may keep it from that, and which money changes it most.",
)

ScenarioArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SCENARIO",
        help="A scenario file (.toml); the reference plan where none is given.",
        show_default=False,
    ),
]
ScenarioArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCENARIO...",
        help="Scenario files (.toml); the reference plan where none is given.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KNOB=VALUE", help="Change a knob, the value as in TOML; may be repeated.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


# ---------------------------------------------------------------------------------------------------------- commands


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from engine import __version__

        typer.echo(f"attain {__version__}")
        raise typer.Exit


@app.command()
def run(
    scenario: ScenarioArgument = None,
    paths: Annotated[str, typer.Option(metavar="N", help="Paths (simulated years) in all.")] = "1_000_000",
    worlds: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Worlds: draws of what we do not know. Default: 256, or 1 where nothing is uncertain.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="The same seed gives the same digits.")] = "1",
    changes: SetOption = None,
    sampler: Annotated[str, typer.Option(metavar="random|sobol", help="How paths are drawn.")] = "random",
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="SE", help="Add paths until the sampling error of P(attain) is at most this.", show_default=False
        ),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Threads; all cores where not given. Never changes a digit.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.nc", help="Write every path's figures as NetCDF.", show_default=False)
    ] = None,
    charts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the charts as PNG.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate the plan and say how likely it is to be met."""
    options = Options()
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
    plan = _load(scenario, changes)

    from engine.analysis.attainment import forecast
    from engine.simulation import result_bytes_per_path

    with _progress() as report:
        result = forecast(
            plan,
            paths=n_paths,
            worlds=n_worlds,
            seed=the_seed,
            sampler=sampler,
            precision=goal,
            threads=n_threads,
            progress=report,
            announce=_announce_compile,
            reserve=0 if out is None else result_bytes_per_path(plan),
        )
    if out is not None:
        _write_result(plan, result, out, seed=the_seed, sampler=sampler, threads=n_threads)
    if charts is not None:
        _write_charts(result, charts)
    if as_json:
        _print_json(result.to_json())
    else:
        from engine.report.summary import summary

        _print(*summary(result))


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
            plan = _load(scenario, changes)
        except EngineError as error:
            faults += error.faults or [Fault(str(scenario), "", str(error))]
            found.append(name | {"valid": False, "faults": error.faults, "message": str(error)})
        else:
            facts = contents(plan)
            found.append(name | {"valid": True, **facts})
            if not as_json:
                _print(contents_text(facts, plan.file))
    if as_json:
        _print_json(found if several else found[0])
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
        _print_json(found)
    else:
        _print(schema_table(found))


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

    rows = knob_rows(_load(scenario, changes), match=match, uncertain=uncertain)
    if as_json:
        _print_json(rows)
    else:
        _print(knob_table(rows))


@app.command()
def register(
    scenario: ScenarioArgument = None,
    changes: SetOption = None,
    risks: Annotated[bool, typer.Option("--risks", help="The risk register alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The register of assumptions: what is from the plan, what is assumed, what has no source; then the risks."""
    from engine.report.registers import assumption_parts, assumption_rows, risk_rows, risk_table

    plan = _load(scenario, changes)
    found = {"risks": risk_rows(plan)}
    if not risks:
        found = assumption_rows(plan) | found
    if as_json:
        _print_json(found)
    else:
        if not risks:
            _print(*assumption_parts(found))
        _print(risk_table(found["risks"]))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A scenario file.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another one.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """What the second scenario changes in the first, knob by knob."""
    from engine.report.registers import diff_rows, diff_table

    rows = diff_rows(_load(first, None), _load(second, None))
    if as_json:
        _print_json(rows)
    else:
        _print(diff_table(rows, first, second))


@app.command("calibrate-plan")
def calibrate_plan(scenario: ScenarioArgument = None, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """The factor on the response ceilings with which the plan, without risk and noise, ends 0.05 % above its target."""
    from engine.analysis.calibrate import ceiling_factor
    from engine.report.registers import calibration_text

    plan = _load(scenario, changes)
    answer = ceiling_factor(plan)
    if as_json:
        _print_json(answer.to_json())
    else:
        _print(calibration_text(answer, plan.plan.currency))


# ------------------------------------------------------------------------------------------------ options and files


class Options:
    """Checks of options, all faults gathered before the first is shown."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def whole(self, name: str, text: str | None, low: int, high: int | None = None) -> int | None:
        """A whole number; ``1e6`` and ``1_000_000`` are welcome."""
        if text is None:
            return None
        value = _whole(text)
        if value is None:
            self._fault(name, f"{text!r} is not a whole number", f"give one from {low} up")
        elif value < low:
            self._fault(name, f"{value} is below {low}", f"give a whole number from {low} up")
        elif high is not None and value > high:
            self._fault(name, f"{value} is above {high}", f"give a whole number up to {high}")
        return value

    def number(self, name: str, text: str | None, above: float, below: float) -> float | None:
        """A number strictly between two bounds."""
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not above < value < below:
            bounds = f"{above:g} and {below:g}"
            self._fault(name, f"{text} is no number between {bounds}", f"give one between {bounds}, both excluded")
        return value

    def one_of(self, name: str, text: str, allowed: Sequence[str]) -> None:
        if text not in allowed:
            self._fault(name, f"{text!r} is not known", f"give {' or '.join(allowed)}")

    def file(self, name: str, path: Path | None, suffix: str) -> None:
        """A file that can be written, found out before the work and not after it."""
        if path is None:
            return
        if path.suffix != suffix:
            self._fault(
                name, f"{path} does not end in {suffix}", f"give a name such as {path.with_suffix(suffix).name}"
            )
        elif path.is_dir():
            self._fault(name, f"{path} is a folder", f"give a file in it, such as {path / ('result' + suffix)}")
        elif not path.parent.is_dir():
            self._fault(name, f"the folder {path.parent} does not exist", "make it first, or name another")
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            self._fault(name, f"{path} cannot be written", "name a file that you may write")

    def folder(self, name: str, path: Path | None) -> None:
        """A folder that can be written, or made."""
        if path is None:
            return
        existing = next(place for place in (path, *path.absolute().parents) if place.exists())
        if not existing.is_dir():
            self._fault(name, f"{existing} is a file", "name a folder")
        elif not os.access(existing, os.W_OK):
            self._fault(name, f"{existing} cannot be written", "name a folder that you may write")

    def check(self) -> None:
        if self.faults:
            raise EngineError("options that cannot be used", self.faults)

    def _fault(self, name: str, message: str, remedy: str) -> None:
        self.faults.append(Fault(file="attain run", knob=name, message=message, remedy=remedy))


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
        return int(number) if number.is_integer() else None
    except ValueError:
        return None


def _load(path: str | None, changes: Sequence[str] | None) -> Scenario:
    from engine.scenario.load import load, reference_path

    return load(reference_path() if path is None else path, set=tuple(changes or ()))


def _write_result(plan: Scenario, result: Forecast, out: Path, **how: Any) -> None:
    """The Dataset of all paths: the very run of the forecast, whose paths and worlds may have been chosen by it."""
    from engine.dataset import save
    from engine.simulation import simulate

    figures = result.to_json()
    dataset = simulate(plan, paths=figures["paths"], worlds=figures["worlds"], **how)
    save(dataset, out)
    typer.echo(f"Wrote {out}", err=True)


def _write_charts(result: Forecast, folder: Path) -> None:
    from engine.plots import save_forecast

    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = save_forecast(result, folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot write the charts: {error.strerror or error}") from error
    for file in files:
        typer.echo(f"Wrote {file}", err=True)


# --------------------------------------------------------------------------------------------------- what is printed


def _console(stderr: bool = False) -> Console:
    """A console of at most WIDTH columns, so that wide terminals do not tear tables apart."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def _print(*parts: RenderableType) -> None:
    """Print without the blanks with which tables fill their lines."""
    console = _console()
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip(), color=console.is_terminal)


def _print_json(data: Any) -> None:
    from engine.report.figures import plain_data

    typer.echo(json.dumps(plain_data(data), indent=2, ensure_ascii=False, allow_nan=False))


def show_error(error: EngineError) -> None:
    """Every fault on its own line, on stderr."""
    from rich.text import Text

    console = _console(stderr=True)
    faults = error.faults
    if not faults:
        console.print(Text.assemble(("Error: ", "bold red"), str(error)))
        return
    message = error.args[0] if error.args else ""
    head = "" if str(faults[0]) in str(message) else f" {message}"
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    console.print(Text.assemble((f"Error: {count}:" if not head else "Error:", "bold red"), f"{head}:" if head else ""))
    for fault in faults:
        where = ": ".join(part for part in (fault.file, fault.knob) if part)
        line = Text.assemble("  ", (f"{where}: ", "bold"), fault.message)
        if fault.remedy:
            line.append(f"; {fault.remedy}", style="dim")
        console.print(line, soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr where that is a terminal; yields what takes (paths done, paths in all)."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("paths"), TimeRemainingColumn())
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _announce_compile() -> None:
    """Say why this run takes longer than the next."""
    typer.echo("Compiling the engine for this machine; this happens once and takes a minute or so.", err=True)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="attain")


if __name__ == "__main__":
    main()
