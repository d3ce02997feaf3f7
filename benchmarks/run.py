"""Run the benchmarks: ``python -m benchmarks.run [CASE ...] [--scale 0.1] [--json]``.

Everything is measured warm, in one run, and reported as ratios to a baseline of that run: absolute times depend on
the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from typing import TYPE_CHECKING

from engine.dataset import versions

if TYPE_CHECKING:
    from benchmarks.cases import Figure


def main() -> int:
    """Run the cases that are named, all by default; the exit code says whether every bar holds."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy loads it
    from benchmarks import batches, budget, cases, scale, studies

    CASES = cases.CASES  # filled by all of these modules
    assert {budget.budget, batches.batch_store, scale.scale, studies.sobol} <= set(CASES.values())

    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), **versions()}
    if not options.json:
        print(", ".join(f"{k} {v}" for k, v in machine.items()))
    results = {}
    for name in options.cases or CASES:
        results[name] = CASES[name](options.scale)
        if not options.json:  # as they come: the whole takes minutes
            print("\n".join([f"\n{name}: {CASES[name].__doc__}", *map(_line, results[name])]), flush=True)
    if options.json:
        rows = {name: [vars(f) | {"held": f.held} for f in figures] for name, figures in results.items()}
        print(json.dumps({"machine": machine, "scale": options.scale, "cases": rows}, indent=2))
    return 0 if all(f.held is not False for figures in results.values() for f in figures) else 1


def _line(figure: Figure) -> str:
    verdict = {None: "", True: "held", False: "MISSED"}[figure.held]
    return f"  {figure.name:52s} {figure.value:10.3g} {figure.unit:8s} {figure.bar:8s} {verdict}"


if __name__ == "__main__":
    sys.exit(main())
