"""The controls by number: what each watches, at which stage, and what a breach does."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

__all__ = ["CONTROLS", "Control", "ControlInfo", "Level", "Stage"]


class Control(IntEnum):
    """A control by its number in the table."""

    ORDER_SIZE = 1
    PRICE_COLLAR = 2
    VENUE_RULES = 3
    EXPOSURE = 4
    MARGIN = 5
    REPEATED_ORDER = 6
    RATE_BUDGET = 7
    DATA_FITNESS = 8
    TRADING_STATE = 9
    ELIGIBILITY = 10
    DEAD_MAN = 11
    MARKET_MAKER_PROTECTION = 12
    STUCK_ORDER = 13
    LEG_RISK = 14
    KILL_SWITCH = 15
    RECONCILIATION = 16
    PNL_EXPLAIN = 17
    LOSS_BUDGET = 18
    CONCENTRATION = 19
    AUDIT_LOG = 20


class Stage(StrEnum):
    """When a breach was found: before an order, while trading, or on the books."""

    PRE = "pre"
    AT = "at"
    POST = "post"


class Level(IntEnum):
    """How bad a breach is; a higher level includes the lower ones."""

    WARN = 1
    BLOCK = 2
    HALT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlInfo:
    """One row of the table.

    Parameters
    ----------
    stage : Stage
        Where the control belongs; margin, exposure and data are also watched while trading.
    watches, effect : str
        What it looks at, and what its breach does.
    """

    stage: Stage
    watches: str
    effect: str


def _info(stage: Stage, watches: str, effect: str) -> ControlInfo:
    return ControlInfo(stage=stage, watches=watches, effect=effect)


CONTROLS: Final[dict[Control, ControlInfo]] = {
    Control.ORDER_SIZE: _info(
        Stage.PRE, "quantity and notional of one order, against the 1-minute depth", "block the order"
    ),
    Control.PRICE_COLLAR: _info(
        Stage.PRE, "limit price against the mark and the price of the own surface", "block the order"
    ),
    Control.VENUE_RULES: _info(
        Stage.PRE, "tick, lot, smallest and largest size, price band of the venue", "block the order"
    ),
    Control.EXPOSURE: _info(
        Stage.PRE,
        "delta, gamma, vega, theta by underlying, expiry bucket, venue, with any of the orders filled",
        "block what widens it; positions beyond it: REDUCING",
    ),
    Control.MARGIN: _info(
        Stage.PRE,
        "initial margin use, and maintenance use after the worst stress, with any of the orders filled",
        "block what raises it; account beyond it: REDUCING",
    ),
    Control.REPEATED_ORDER: _info(
        Stage.PRE, "the same intent twice, too many executions on one side", "block the order"
    ),
    Control.RATE_BUDGET: _info(
        Stage.PRE, "messages per venue bucket, a part kept for cancels", "block the order, never a cancel"
    ),
    Control.DATA_FITNESS: _info(
        Stage.PRE,
        "age of quote, Greeks and surface, clock skew, crossed or missing quotes, sequence gaps",
        "block the order; Greeks or clock: REDUCING",
    ),
    Control.TRADING_STATE: _info(
        Stage.PRE,
        "REDUCING, HALTED, and that the checks while trading still run",
        "block what does not reduce, or all",
    ),
    Control.ELIGIBILITY: _info(
        Stage.PRE,
        "self-match, restricted list, last minutes before expiry, cost of the plan",
        "block the order",
    ),
    Control.DEAD_MAN: _info(
        Stage.AT, "cancel-on-disconnect armed where the venue has it", "block the venue, REDUCING"
    ),
    Control.MARKET_MAKER_PROTECTION: _info(
        Stage.AT, "quantity, delta, vega filled within the window, and the venue's own flag", "REDUCING"
    ),
    Control.STUCK_ORDER: _info(
        Stage.AT, "orders without an answer or of unknown status", "warn: query by client id; then HALT"
    ),
    Control.LEG_RISK: _info(
        Stage.AT, "multi-leg orders filled in part", "REDUCING: flatten the delta of what was filled"
    ),
    Control.KILL_SWITCH: _info(
        Stage.AT, "kill switch engaged, cancels confirmed in time, watcher alive", "HALT"
    ),
    Control.RECONCILIATION: _info(
        Stage.POST, "positions, balances, orders against the venue", "late: REDUCING; mismatch: HALT"
    ),
    Control.PNL_EXPLAIN: _info(Stage.POST, "P&L that the risk factors do not explain", "REDUCING"),
    Control.LOSS_BUDGET: _info(
        Stage.POST, "daily loss, drawdown, hedge error, fees, as shares of equity", "REDUCING, then HALT"
    ),
    Control.CONCENTRATION: _info(
        Stage.POST, "equity per venue and per stablecoin, funding cost, rank in auto-deleveraging", "REDUCING"
    ),
    Control.AUDIT_LOG: _info(
        Stage.POST, "hash chain verified, daily proof made", "broken: HALT; proof late: REDUCING"
    ),
}
