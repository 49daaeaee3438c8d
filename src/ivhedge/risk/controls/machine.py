"""ACTIVE, REDUCING, HALTED: a pure reducer over what the checks of the state find."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.risk.controls.breach import Breach, Scope
from ivhedge.risk.controls.catalog import Level, Stage
from ivhedge.risk.controls.settings import ControlSettings

__all__ = ["Cause", "Mode", "TradingState", "acknowledge", "next_state"]

Cause = tuple[int, str, Scope]


class Mode(StrEnum):
    """What may be sent: anything within limits, only what reduces risk, nothing. Cancels always."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingState:
    """Mode of trading and what is needed to leave it.

    Parameters
    ----------
    mode : Mode
    since_ns : int
        When the mode was entered.
    updated_ns : int
        Time of the last check; orders are refused when it is too long ago.
    causes : frozenset of Cause
        Control, measure and scope of what holds the mode.
    calm_since_ns : int or None
        Since when every cause is below the leaving share of its limit; None = not calm.
    acknowledged_by : str or None
        Who has acknowledged the halt; used up by the next check.
    """

    mode: Mode
    since_ns: int
    updated_ns: int
    causes: frozenset[Cause] = frozenset()
    calm_since_ns: int | None = None
    acknowledged_by: str | None = None

    @classmethod
    def start(cls, ts_ns: int) -> "TradingState":
        """State at start: REDUCING, until the checks have been calm for the dwell."""
        return cls(mode=Mode.REDUCING, since_ns=ts_ns, updated_ns=ts_ns)


def acknowledge(state: TradingState, by: str) -> TradingState:
    """Acknowledge a halt; the next check without a halting breach turns it to REDUCING.

    Raises
    ------
    ConfigError
        If trading is not halted, or nobody is named.
    """
    if state.mode is not Mode.HALTED:
        raise ConfigError(f"expected a halted state to acknowledge, found {state.mode}; nothing to do")
    if not by.strip():
        raise ConfigError("expected who acknowledges, found an empty name")
    return replace(state, acknowledged_by=by.strip())


def next_state(
    state: TradingState, breaches: Sequence[Breach], ts_ns: int, settings: ControlSettings
) -> TradingState:
    """State after a check of the state.

    Parameters
    ----------
    state : TradingState
    breaches : sequence of Breach
        All that `check_state` found. Breaches of orders (stage ``pre``) only refuse their order.
    ts_ns : int
        Time of the check.
    settings : ControlSettings

    Returns
    -------
    TradingState

    Notes
    -----
    A halting breach halts at once, a blocking one reduces at once. REDUCING is left when nothing blocks
    and every cause has stayed below ``leave_fraction`` of its limit for ``min_dwell_s``, over checks that
    are at most ``max_check_gap_s`` apart and in order of time. HALTED is left only to REDUCING, only by
    `acknowledge`, and only if the next check finds nothing that halts.
    """
    running = [b for b in breaches if b.stage is not Stage.PRE]
    halting = frozenset(b.cause for b in running if b.level is Level.HALT)
    blocking = frozenset(b.cause for b in running if b.level >= Level.BLOCK)
    acknowledged = state.acknowledged_by is not None
    in_order = state.updated_ns <= ts_ns
    gap_s = (ts_ns - state.updated_ns) / NS_PER_SECOND
    now_ns = max(state.updated_ns, ts_ns)
    state = replace(state, updated_ns=now_ns, acknowledged_by=None)

    if halting or (state.mode is Mode.HALTED and not acknowledged):
        since = state.since_ns if state.mode is Mode.HALTED else now_ns
        return replace(
            state, mode=Mode.HALTED, since_ns=since, causes=halting or state.causes, calm_since_ns=None
        )
    if state.mode is Mode.HALTED or (state.mode is Mode.ACTIVE and blocking):
        return replace(state, mode=Mode.REDUCING, since_ns=now_ns, causes=blocking, calm_since_ns=None)
    if state.mode is Mode.ACTIVE:
        return state

    # A cause is kept until the mode is left: a value back above the leaving share ends the calm.
    close = frozenset(b.cause for b in running if b.utilisation >= settings.leave_fraction)
    causes = state.causes | blocking
    if blocking or (causes & close) or not in_order:
        return replace(state, causes=causes, calm_since_ns=None)
    calm = state.calm_since_ns
    if calm is None or gap_s > settings.max_check_gap_s:
        calm = now_ns
    if now_ns - calm >= settings.min_dwell_s * NS_PER_SECOND:
        return replace(state, mode=Mode.ACTIVE, since_ns=now_ns, causes=frozenset(), calm_since_ns=None)
    return replace(state, causes=causes, calm_since_ns=calm)
