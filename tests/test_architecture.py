"""Who may import whom: the layers of the engine, checked on the source text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "engine"

# Layer: what of ours it may import, besides itself. `errors`, `names` and `store` are open to all but the kernels.
OPEN = {"errors", "names", "store"}
MODEL = {*OPEN, "scenario", "dataset", "simulation", "replay", "analysis", "budget"}
EVERYTHING = {*MODEL, "kernels", "batch", "control", "plots", "report", "app", "reading", "cli"}
ALLOWED = {
    "errors": set(),
    "names": set(),
    "store": {"errors"},
    "kernels": set(),
    "scenario": {*OPEN, "kernels.layout", "kernels.variates", "kernels.philox"},
    "dataset": OPEN,
    "simulation": {*OPEN, "scenario", "kernels", "dataset"},
    "replay": {*OPEN, "scenario", "kernels", "simulation"},
    "analysis": {
        *OPEN,
        "dataset",
        "simulation",
        "replay",
        "scenario",
        "kernels",
    },  # sums up chunks as they are simulated
    "budget": {*OPEN, "analysis", "simulation", "replay", "scenario", "dataset"},
    "batch": MODEL,
    "control": MODEL,
    "plots": {*OPEN, "dataset"},
    "reading": {*OPEN, "scenario", "dataset"},
    "report": EVERYTHING,
    "app": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "__init__": EVERYTHING,
}
NOBODY_IMPORTS = {"report", "app", "cli"}
KERNEL_LIBRARIES = {"numpy", "numba", "math", "typing", "collections", "__future__"}
JIT_LIBRARIES = {
    "os",
    "llvmlite",
    "hashlib",
    "tempfile",
    "pathlib",
    "functools",
    "concurrent",
    "shutil",
    "threading",
}  # compiler options, cache, threads
# A library and the layer, or the one module, that alone may import it.
ONE_HOME = {
    "matplotlib": "plots",
    "pulp": "budget",
    "SALib": "analysis/sensitivity/indices",
    "ema_workbench": "analysis/discovery/prim",
    "icechunk": "batch/store",
    "zarr": "batch/store",
    "dask": "batch/cluster",
    "distributed": "batch/cluster",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(file: Path) -> str:
    """The folder right below the package, or the module's own name."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(file: Path) -> list[str]:
    """Every module that a file imports while it runs; imports for the type checker alone do not count.

    ``from engine.plots import fan`` counts as ``engine.plots`` and as ``engine.plots.fan``, which may be a module.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and ast.unparse(guard.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in guard.body
        for node in ast.walk(statement)
    }
    package = ("engine", *file.relative_to(PACKAGE).parent.parts)
    found = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def is_allowed(target: str, allowed: set[str]) -> bool:
    """Whether a module of ours, named below ``engine``, lies in one of the allowed layers."""
    return any(target == place or target.startswith(f"{place}.") for place in allowed)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_keep_to_the_layers(file: Path) -> None:
    layer = layer_of(file)
    assert layer in ALLOWED, f"{layer} has no place in the table of layers"
    for name in imports_of(file):
        root, _, rest = name.partition(".")
        if root != "engine" or not rest:
            continue
        if layer == "__init__" or rest.startswith("__"):
            continue
        assert rest.split(".")[0] == layer or is_allowed(rest, ALLOWED[layer]), f"{layer} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_nothing_imports_the_top(file: Path) -> None:
    layer = layer_of(file)
    if layer in NOBODY_IMPORTS | {"__main__"}:
        return
    for name in imports_of(file):
        assert not is_allowed(name.removeprefix("engine."), NOBODY_IMPORTS) or not name.startswith("engine."), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_libraries_stay_at_home(file: Path) -> None:
    layer = layer_of(file)
    roots = {name.split(".")[0] for name in imports_of(file)}
    for library, home in ONE_HOME.items():
        at_home = home in (layer, file.relative_to(PACKAGE).with_suffix("").as_posix())
        assert library not in roots or at_home, f"{library} belongs to {home} alone"
    if layer == "kernels":
        allowed = KERNEL_LIBRARIES | {"engine"} | (JIT_LIBRARIES if file.name == "jit.py" else set())
        assert roots <= allowed, f"kernels import {roots - allowed}"


def test_the_checks_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "engine"
    (package / "kernels").mkdir(parents=True)
    culprit = package / "kernels" / "bad.py"
    culprit.write_text("import xarray\nfrom engine.scenario import model\nfrom ..cli import main\n")
    monkeypatch.setattr("test_architecture.PACKAGE", package)
    assert imports_of(culprit) == ["xarray", "engine.scenario.model", "engine.cli.main"]
    with pytest.raises(AssertionError):
        test_imports_keep_to_the_layers(culprit)
    with pytest.raises(AssertionError):
        test_nothing_imports_the_top(culprit)
    with pytest.raises(AssertionError):
        test_libraries_stay_at_home(culprit)
