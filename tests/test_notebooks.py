"""What the notebooks promise a reader: charts that show, public names, outputs that are not stored."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

FILES = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
PUBLIC = {"engine", "engine.plots"}


def code_cells(file: Path) -> list[dict[str, Any]]:
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_figures_are_shown(file: Path) -> None:
    """A figure outside pyplot has no picture in a notebook before this line: its cell would end in words."""
    cells = ["".join(cell["source"]) for cell in code_cells(file)]
    assert any(".figure" in cell for cell in cells)
    assert cells[0].startswith("%matplotlib inline\n")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_outputs_are_stripped(file: Path) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_only_public_names_are_used(file: Path) -> None:
    lines = "\n".join("".join(cell["source"]) for cell in code_cells(file)).splitlines()
    tree = ast.parse("\n".join(line for line in lines if not line.startswith("%")))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name for name in names if name.split(".")[0] == "engine"} <= PUBLIC
