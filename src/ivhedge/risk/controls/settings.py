"""Every limit of the control table, with its default."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Final

from ivhedge.core.errors import ConfigError
from ivhedge.risk.controls.breach import Scope
from ivhedge.risk.controls.catalog import Control
from ivhedge.risk.controls.limits import Budget, ExposureLimits, FillLimits, number

__all__ = ["ControlSettings"]

_FRACTIONS: Final = ("warn_fraction", "leave_fraction", "cancel_reserve")
_TABLES: Final[dict[str, type[ExposureLimits] | type[FillLimits]]] = {
    "underlying_limits": ExposureLimits,
    "expiry_limits": ExposureLimits,
    "venue_limits": ExposureLimits,
    "fill_limits": FillLimits,
}
_BUDGETS: Final = ("daily_loss", "drawdown", "hedge_error", "fees")


def _of(control: Control | None, unit: str, default: Any) -> Any:
    return field(default=default, metadata={"control": control, "unit": unit})


def _table(control: Control, unit: str) -> Any:
    return field(default_factory=dict, metadata={"control": control, "unit": unit})


_LOSS: Final = {"control": Control.LOSS_BUDGET, "unit": "of equity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """Limits of all controls; infinite = off, 0 = nothing allowed.

    Each field carries its control and unit in its metadata; docs/controls.md has the table.

    Parameters
    ----------
    warn_fraction : float
        Share of a limit from which a check warns.
    leave_fraction : float
        Share of its limit below which the cause of REDUCING has to fall; at or above `warn_fraction`.
    min_dwell_s : float
        Time without any cause before REDUCING is left.
    max_check_gap_s : float
        Longest time between two checks of the state; beyond it orders are refused.
    underlying_limits, expiry_limits, venue_limits : mapping of str to ExposureLimits
        Keys: ``"BTC 2026-12-25"`` (expiry bucket) or ``"BTC deribit"`` (venue), then ``"BTC"``, then
        ``"*"``. An underlying without a limit cannot be traded; buckets and venues without one are free.
    fill_limits : mapping of underlying or ``"*"`` to FillLimits
    max_order_contracts : mapping of instrument key or kind to float
        Beside the limits by depth and notional.
    restricted : frozenset of str
        Instrument keys, underlyings or venues that must not be traded.

    Raises
    ------
    ConfigError
        If a limit is no number, NaN or negative, or fractions are out of order.
    """

    warn_fraction: float = _of(None, "of limit", 0.8)
    depth_share: float = _of(Control.ORDER_SIZE, "of 1-minute depth", 0.05)
    max_order_btc: float = _of(Control.ORDER_SIZE, "BTC", 2.0)
    max_order_contracts: Mapping[str, float] = _table(Control.ORDER_SIZE, "contracts")
    collar_ticks: float = _of(Control.PRICE_COLLAR, "ticks", 2.0)
    collar_vol_points: float = _of(Control.PRICE_COLLAR, "vol points", 1.5)
    collar_premium_share: float = _of(Control.PRICE_COLLAR, "of premium", 0.15)
    collar_future_share: float = _of(Control.PRICE_COLLAR, "of mark", 0.005)
    underlying_limits: Mapping[str, ExposureLimits] = _table(Control.EXPOSURE, "see ExposureLimits")
    expiry_limits: Mapping[str, ExposureLimits] = _table(Control.EXPOSURE, "see ExposureLimits")
    venue_limits: Mapping[str, ExposureLimits] = _table(Control.EXPOSURE, "see ExposureLimits")
    initial_margin_use: float = _of(Control.MARGIN, "of equity", 0.6)
    stressed_margin_use: float = _of(Control.MARGIN, "of stressed equity", 0.5)
    max_margin_age_s: float = _of(Control.MARGIN, "s", 10.0)
    duplicate_window_s: float = _of(Control.REPEATED_ORDER, "s", 1.0)
    max_same_side_fills: float = _of(Control.REPEATED_ORDER, "executed orders", 3.0)
    same_side_window_s: float = _of(Control.REPEATED_ORDER, "s", 10.0)
    cancel_reserve: float = _of(Control.RATE_BUDGET, "of bucket", 0.2)
    max_quote_age_s: float = _of(Control.DATA_FITNESS, "s", 2.0)
    max_greeks_age_s: float = _of(Control.DATA_FITNESS, "s", 5.0)
    max_surface_age_s: float = _of(Control.DATA_FITNESS, "s", 60.0)
    max_index_age_s: float = _of(Control.DATA_FITNESS, "s", 5.0)
    max_clock_skew_ms: float = _of(Control.DATA_FITNESS, "ms", 250.0)
    leave_fraction: float = _of(Control.TRADING_STATE, "of limit", 0.9)
    min_dwell_s: float = _of(Control.TRADING_STATE, "s", 60.0)
    max_check_gap_s: float = _of(Control.TRADING_STATE, "s", 5.0)
    restricted: frozenset[str] = _of(Control.ELIGIBILITY, "names", frozenset())
    expiry_window_s: float = _of(Control.ELIGIBILITY, "s", 1800.0)
    max_plan_cost_usd: float = _of(Control.ELIGIBILITY, "USD", 2500.0)
    dead_man_s: float = _of(Control.DEAD_MAN, "s", 10.0)
    fill_window_s: float = _of(Control.MARKET_MAKER_PROTECTION, "s", 5.0)
    fill_limits: Mapping[str, FillLimits] = _table(Control.MARKET_MAKER_PROTECTION, "see FillLimits")
    stuck_query_s: float = _of(Control.STUCK_ORDER, "s", 2.0)
    stuck_halt_s: float = _of(Control.STUCK_ORDER, "s", 5.0)
    leg_timer_s: float = _of(Control.LEG_RISK, "s", 3.0)
    kill_confirm_s: float = _of(Control.KILL_SWITCH, "s", 1.0)
    kill_watch_s: float = _of(Control.KILL_SWITCH, "s", 10.0)
    reconcile_every_s: float = _of(Control.RECONCILIATION, "s", 10.0)
    reconcile_late_s: float = _of(Control.RECONCILIATION, "s", 20.0)
    max_explain_age_s: float = _of(Control.PNL_EXPLAIN, "s", 5400.0)
    explain_gross_share: float = _of(Control.PNL_EXPLAIN, "of gross P&L", 0.05)
    explain_equity_share: float = _of(Control.PNL_EXPLAIN, "of equity", 0.001)
    max_pnl_age_s: float = _of(Control.LOSS_BUDGET, "s", 30.0)
    daily_loss: Budget = field(default_factory=Budget, metadata=_LOSS)
    drawdown: Budget = field(default_factory=Budget, metadata=_LOSS)
    hedge_error: Budget = field(default_factory=Budget, metadata=_LOSS)
    fees: Budget = field(default_factory=Budget, metadata=_LOSS)
    max_venue_share: float = _of(Control.CONCENTRATION, "of equity", 0.4)
    max_stablecoin_share: float = _of(Control.CONCENTRATION, "of equity", 0.4)
    max_funding_share_per_day: float = _of(Control.CONCENTRATION, "of equity per day", 0.001)
    max_adl_rank: float = _of(Control.CONCENTRATION, "quantile", 0.8)
    max_proof_age_s: float = _of(Control.AUDIT_LOG, "s", 90_000.0)

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f.name, getattr(self, f.name)))
        if not 0.0 < self.warn_fraction <= self.leave_fraction <= 1.0:
            raise ConfigError(
                "expected 0 < warn_fraction <= leave_fraction <= 1, "
                f"found {self.warn_fraction} and {self.leave_fraction}"
            )
        if self.cancel_reserve >= 1.0:
            raise ConfigError(f"expected cancel_reserve below 1, found {self.cancel_reserve}")
        if self.min_dwell_s == inf:
            raise ConfigError("expected a finite min_dwell_s, found inf: REDUCING would never be left")
        for low, high in (("stuck_query_s", "stuck_halt_s"), ("reconcile_every_s", "reconcile_late_s")):
            if getattr(self, low) > getattr(self, high):
                raise ConfigError(f"expected {low} at or below {high}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> "ControlSettings":
        """Build from a mapping, for instance a TOML table; what is left out keeps its default.

        Raises
        ------
        ConfigError
            If a key is unknown or a value cannot be a limit.
        """
        allowed = [f.name for f in fields(cls)]
        unknown = sorted(str(key) for key in values if key not in allowed)
        if unknown:
            raise ConfigError(f"unknown keys {unknown} in the control settings; allowed are {allowed}")
        read: dict[str, Any] = {key: _read(key, value) for key, value in values.items()}
        return cls(**read)

    def limits_of(self, scope: Scope) -> ExposureLimits | None:
        """Limits on the exposures of a scope; None when there are none."""
        table, part = self.underlying_limits, None
        if scope.expiry is not None:
            table, part = self.expiry_limits, scope.expiry
        elif scope.venue is not None:
            table, part = self.venue_limits, scope.venue
        if not table:
            return None
        found = table.get(f"{scope.underlying} {part}") if part is not None else None
        if found is None:
            found = table.get(scope.underlying or "*")
        return table.get("*") if found is None else found


def _read(name: str, value: object) -> object:
    if name in _TABLES:
        if not isinstance(value, Mapping):
            raise ConfigError(f"expected tables by name for {name}, found {value!r}")
        kind = _TABLES[name]
        return {str(key): kind.from_mapping(f"{name}.{key}", item) for key, item in value.items()}
    if name in _BUDGETS:
        return Budget.from_mapping(name, value)
    return value


def _checked(name: str, value: object) -> object:
    if name in _TABLES:
        return dict(_typed(name, value, _TABLES[name]))
    if name in _BUDGETS:
        if not isinstance(value, Budget):
            raise ConfigError(f"expected a Budget for {name}, found {value!r}")
        return value
    if name == "restricted":
        if isinstance(value, str) or not isinstance(value, frozenset | set | list | tuple):
            raise ConfigError(f"expected a list of names for restricted, found {value!r}")
        if not all(isinstance(item, str) and item for item in value):
            raise ConfigError(f"expected names in restricted, found {sorted(map(repr, value))}")
        return frozenset(value)
    if name == "max_order_contracts":
        if not isinstance(value, Mapping):
            raise ConfigError(f"expected numbers by instrument or kind for {name}, found {value!r}")
        return {str(k): number(f"{name}.{k}", v) for k, v in value.items()}
    return _fraction(name, value) if name in _FRACTIONS else number(name, value)


def _typed(name: str, value: object, kind: type) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(item, kind) for item in value.values()):
        raise ConfigError(f"expected {kind.__name__} by name for {name}, found {value!r}")
    return value


def _fraction(name: str, value: object) -> float:
    share = number(name, value)
    if share > 1.0:
        raise ConfigError(f"expected {name} between 0 and 1, found {share}")
    return share
