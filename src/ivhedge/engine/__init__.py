"""Replay: the same stages over recorded or simulated time."""

from ivhedge.engine.replay import replay
from ivhedge.engine.result import BacktestResult, PolicyResult
from ivhedge.engine.settlement import SettlementPrices
from ivhedge.engine.spec import (
    BookSpec,
    HoldingSpec,
    PolicyKind,
    PolicySpec,
    ReplayConfig,
    StructureKind,
    StructureSpec,
    VegaBucket,
)

__all__ = [
    "BacktestResult",
    "BookSpec",
    "HoldingSpec",
    "PolicyKind",
    "PolicyResult",
    "PolicySpec",
    "ReplayConfig",
    "SettlementPrices",
    "StructureKind",
    "StructureSpec",
    "VegaBucket",
    "replay",
]
