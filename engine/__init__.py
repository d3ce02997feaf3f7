"""Attain: how likely a sales plan is to be met, what may keep it from that, and which money changes it most.

The public names, each loaded when it is first used, so that ``import engine`` costs nothing.

Examples
--------
>>> import engine
>>> sorted(name for name in engine.__all__ if "Error" in name)
['AllocationError', 'ClusterError', 'EngineError', 'ScenarioError', 'SimulationError', 'StoreError']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.analysis.attainment import Forecast, forecast
    from engine.analysis.contingency import Contingency, contingency
    from engine.analysis.discovery.study import Discovery, discover
    from engine.analysis.sensitivity.drivers import MissDrivers, miss_drivers
    from engine.analysis.sensitivity.study import Sensitivity, sensitivity
    from engine.analysis.stress import StressTest, stress
    from engine.batch.run import open_batch, run_batch
    from engine.budget.allocation import Allocation
    from engine.budget.decision import DecisionSensitivity, decision_sensitivity
    from engine.budget.frontier import Frontier, frontier
    from engine.budget.optimise import optimise
    from engine.budget.regret import RegretTable, regret
    from engine.errors import (
        AllocationError,
        ClusterError,
        EngineError,
        Fault,
        ScenarioError,
        SimulationError,
        StoreError,
    )
    from engine.reading import load
    from engine.scenario.library import stress_paths
    from engine.scenario.load import parse, reference_path
    from engine.scenario.model import Scenario
    from engine.simulation import simulate

__version__ = "0.1.0"

_HOMES = {
    "load": "engine.reading",
    "parse": "engine.scenario.load",
    "reference_path": "engine.scenario.load",
    "Scenario": "engine.scenario.model",
    "simulate": "engine.simulation",
    "forecast": "engine.analysis.attainment",
    "Forecast": "engine.analysis.attainment",
    "optimise": "engine.budget.optimise",
    "Allocation": "engine.budget.allocation",
    "frontier": "engine.budget.frontier",
    "Frontier": "engine.budget.frontier",
    "regret": "engine.budget.regret",
    "RegretTable": "engine.budget.regret",
    "decision_sensitivity": "engine.budget.decision",
    "DecisionSensitivity": "engine.budget.decision",
    "contingency": "engine.analysis.contingency",
    "Contingency": "engine.analysis.contingency",
    "stress": "engine.analysis.stress",
    "StressTest": "engine.analysis.stress",
    "run_batch": "engine.batch.run",
    "open_batch": "engine.batch.run",
    "stress_paths": "engine.scenario.library",
    "sensitivity": "engine.analysis.sensitivity.study",
    "Sensitivity": "engine.analysis.sensitivity.study",
    "miss_drivers": "engine.analysis.sensitivity.drivers",
    "MissDrivers": "engine.analysis.sensitivity.drivers",
    "discover": "engine.analysis.discovery.study",
    "Discovery": "engine.analysis.discovery.study",
    "EngineError": "engine.errors",
    "ScenarioError": "engine.errors",
    "SimulationError": "engine.errors",
    "AllocationError": "engine.errors",
    "StoreError": "engine.errors",
    "ClusterError": "engine.errors",
    "Fault": "engine.errors",
}

__all__ = [
    "load",
    "parse",
    "reference_path",
    "Scenario",
    "simulate",
    "forecast",
    "Forecast",
    "optimise",
    "Allocation",
    "frontier",
    "Frontier",
    "regret",
    "RegretTable",
    "decision_sensitivity",
    "DecisionSensitivity",
    "contingency",
    "Contingency",
    "stress",
    "StressTest",
    "run_batch",
    "open_batch",
    "stress_paths",
    "sensitivity",
    "Sensitivity",
    "miss_drivers",
    "MissDrivers",
    "discover",
    "Discovery",
    "EngineError",
    "ScenarioError",
    "SimulationError",
    "AllocationError",
    "StoreError",
    "ClusterError",
    "Fault",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
