"""What all commands share: the app, its options and their checks, what is printed and where.

Whatever a command needs is imported inside it, so that ``attain --help`` answers at once. Results go to stdout,
everything else (progress, faults, where files went) to stderr. Exit codes: 0 done, 2 the input was not right, 130
interrupted.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from typer.core import TyperGroup

from engine.errors import EngineError, Fault, StoreError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from engine.scenario.model import Scenario

BAD_INPUT = 2
INTERRUPTED = 130
WIDTH = 100
MAX_SEED = 2**64 - 1


class HasJson(Protocol):
    """What a study found."""

    def to_json(self) -> dict[str, Any]: ...


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
WorldsOption = Annotated[
    str | None,
    typer.Option(
        "--worlds",
        metavar="N",
        help="Worlds: draws of what we do not know. Default: 256, fewer where that leaves less than 1,000 paths each; "
        "1 where nothing is uncertain.",
        show_default=False,
    ),
]
SeedOption = Annotated[str, typer.Option("--seed", metavar="N", help="The same seed gives the same digits.")]
ThreadsOption = Annotated[
    str | None,
    typer.Option(
        "--threads", metavar="N", help="Threads; all cores where not given. Never changes a digit.", show_default=False
    ),
]
ChartsOption = Annotated[
    Path | None, typer.Option("--charts", metavar="DIR", help="Write the charts as PNG.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


class Options:
    """Checks of options, all faults gathered before the first is shown."""

    def __init__(self, command: str) -> None:
        self.command = command
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

    def share(self, name: str, text: str | None, example: str = "10%") -> float | None:
        """A percentage above 0, such as ``10%``."""
        if text is None:
            return None
        from engine.analysis.sensitivity.factors import share_of

        value = share_of(text)
        if value is None:
            self._fault(name, f"{text!r} is no percentage above 0", f"give one such as {example}")
        return value

    def alone(self, name: str, others: Sequence[str]) -> None:
        """An option that goes with none of these others, all given."""
        if others:
            self._fault(name, f"does not go with {', '.join(others)}", "leave out one or the other")

    def fraction(self, name: str, text: str) -> float | None:
        """A share of 1: 0 is one, 1 is not."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.0 <= value < 1.0:
            self._fault(name, f"{text} is no share from 0 to below 1", "give one such as 0.1, for 10 %")
        return value

    def running(self, *, seed: str, threads: str | None, charts: Path | None, **worlds: str | None) -> dict[str, Any]:
        """What every simulation takes: ``seed``, ``threads`` and, where the command has them, ``worlds``.

        All faults are gathered with those of the options looked at before, also that of the folder of charts, and
        shown: this is the last check of a command.
        """
        found = {name: self.whole(f"--{name}", text, low=1) for name, text in worlds.items()}
        found |= {"seed": self.whole("--seed", seed, low=0, high=MAX_SEED)}
        found |= {"threads": self.whole("--threads", threads, low=1)}
        self.folder("--charts", charts)
        self.check()
        return found

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

    def no_parent(self, name: str, path: Path | None, scenario: str | None) -> None:
        """A scenario file that is written may not be the one it extends, nor a parent of that one."""
        if path is None or not path.exists():
            return
        from engine.scenario.load import files, reference_path

        if path.resolve() in files(reference_path() if scenario is None else scenario):
            self._fault(name, f"{path} is a scenario that the answer would extend", "name another file")

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
        self.faults.append(Fault(file=self.command, knob=name, message=message, remedy=remedy))


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


def load(path: str | None, changes: Sequence[str] | None) -> Scenario:
    """A scenario file with changes; the reference plan where none is named."""
    from engine.scenario.load import load as read
    from engine.scenario.load import reference_path

    return read(reference_path() if path is None else path, set=tuple(changes or ()))


# --------------------------------------------------------------------------------------------------- what is printed


def make_console(stderr: bool = False) -> Console:
    """A console of at most WIDTH columns, so that wide terminals do not tear tables apart."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False, markup=False)  # names may hold brackets
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def print_parts(*parts: RenderableType) -> None:
    """Print without the blanks with which tables fill their lines."""
    console = make_console()
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip(), color=console.is_terminal)


def print_json(data: Any) -> None:
    from engine.report.figures import plain_data

    typer.echo(json.dumps(plain_data(data), indent=2, ensure_ascii=False, allow_nan=False))


def print_answer(found: HasJson, parts: Callable[[Any], Iterable[RenderableType]], as_json: bool) -> None:
    """What a study found: JSON for programs, or text for people."""
    if as_json:
        print_json(found.to_json())
    else:
        print_parts(*parts(found))


def show_error(error: EngineError) -> None:
    """Every fault on its own line, on stderr."""
    from rich.text import Text

    console = make_console(stderr=True)
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


def write_charts(draw: Callable[[Path], list[Path]], folder: Path) -> None:
    """Draw charts into a folder, which is made where need be, and say where they are."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = draw(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot write the charts: {error.strerror or error}") from error
    for file in files:
        typer.echo(f"Wrote {file}", err=True)


@contextmanager
def progress(of_paths: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr where that is a terminal; yields what takes (done, in all), of paths or of all work."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    count = (MofNCompleteColumn(), TextColumn("paths")) if of_paths else (TaskProgressColumn(),)
    columns = (TextColumn("Simulating"), BarColumn(), *count, TimeRemainingColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def announce_compile() -> None:
    """Say why this run takes longer than the next."""
    typer.echo("Compiling the engine for this machine; this happens once and takes a minute or so.", err=True)


@contextmanager
def stages() -> Iterator[Callable[[str], None] | None]:
    """A line on stderr that says what is being done, where that is a terminal; yields what takes the words."""
    if not sys.stderr.isatty():
        yield None
        return
    with make_console(stderr=True).status("starting") as status:
        yield status.update


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from engine import __version__

        typer.echo(f"attain {__version__}")
        raise typer.Exit
