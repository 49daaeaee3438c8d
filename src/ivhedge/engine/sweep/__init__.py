"""Evidence at scale: many replays from one specification, resumable, judged out of sample."""

from ivhedge.engine.sweep.backends import Backend, DaskCluster, ProcessPool, Serial
from ivhedge.engine.sweep.cells import Cell
from ivhedge.engine.sweep.comparison import Comparison, Interval, compare
from ivhedge.engine.sweep.figures import StepFigures, scores, step_figures
from ivhedge.engine.sweep.plan import PlannedRun, plan_runs
from ivhedge.engine.sweep.result import CellResult, SweepResult
from ivhedge.engine.sweep.run import run_sweep
from ivhedge.engine.sweep.spec import (
    CRITERIA,
    BootstrapSpec,
    Exclusion,
    Period,
    RecordedPeriod,
    SimulatedPeriod,
    SweepSpec,
    Variant,
    WalkForwardSpec,
)
from ivhedge.engine.sweep.walkforward import CHOSEN, Fold, WalkForward, walk_forward

__all__ = [
    "CHOSEN",
    "CRITERIA",
    "Backend",
    "BootstrapSpec",
    "Cell",
    "CellResult",
    "Comparison",
    "DaskCluster",
    "Exclusion",
    "Fold",
    "Interval",
    "Period",
    "PlannedRun",
    "ProcessPool",
    "RecordedPeriod",
    "Serial",
    "SimulatedPeriod",
    "StepFigures",
    "SweepResult",
    "SweepSpec",
    "Variant",
    "WalkForward",
    "WalkForwardSpec",
    "compare",
    "plan_runs",
    "run_sweep",
    "scores",
    "step_figures",
    "walk_forward",
]
