"""Pre-trade and at-trade controls: a pure limits engine with warn, block and halt levels."""

from ivhedge.risk.controls._book_checks import closes_position
from ivhedge.risk.controls.breach import Breach, Decision, Scope
from ivhedge.risk.controls.catalog import CONTROLS, Control, ControlInfo, Level, Stage
from ivhedge.risk.controls.engine import check_cancel, check_order, check_plan, check_state
from ivhedge.risk.controls.limits import Budget, ExposureLimits, FillLimits
from ivhedge.risk.controls.machine import Mode, TradingState, acknowledge, next_state
from ivhedge.risk.controls.measured import scope_exposures
from ivhedge.risk.controls.orders import Exposure, MarginChange, OrderIntent, WorkingOrder, WorkingOrders
from ivhedge.risk.controls.settings import ControlSettings
from ivhedge.risk.controls.state import (
    AuditState,
    ControlState,
    ExecutedOrder,
    ExplainState,
    InstrumentState,
    KillSwitch,
    LegGroup,
    MarginState,
    PnlState,
    RateState,
    Reconciliation,
    SentIntent,
    UnderlyingState,
    VenueRules,
    VenueState,
)

__all__ = [
    "CONTROLS",
    "AuditState",
    "Breach",
    "Budget",
    "Control",
    "ControlInfo",
    "ControlSettings",
    "ControlState",
    "Decision",
    "ExecutedOrder",
    "ExplainState",
    "Exposure",
    "ExposureLimits",
    "FillLimits",
    "InstrumentState",
    "KillSwitch",
    "LegGroup",
    "Level",
    "MarginChange",
    "MarginState",
    "Mode",
    "OrderIntent",
    "PnlState",
    "RateState",
    "Reconciliation",
    "Scope",
    "SentIntent",
    "Stage",
    "TradingState",
    "UnderlyingState",
    "VenueRules",
    "VenueState",
    "WorkingOrder",
    "WorkingOrders",
    "acknowledge",
    "check_cancel",
    "check_order",
    "check_plan",
    "check_state",
    "closes_position",
    "next_state",
    "scope_exposures",
]
