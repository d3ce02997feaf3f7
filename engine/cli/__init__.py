"""The command line ``attain``: `base` is what all commands share, the other modules hold the commands."""

from engine.cli import plan  # isort: skip  (the help lists commands in the order of these imports)
from engine.cli import budget, funds, stress, sensitivity, discover, batch  # isort: skip
from engine.cli.base import app

__all__ = ["app", "batch", "budget", "discover", "funds", "main", "plan", "sensitivity", "stress"]


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="attain")
