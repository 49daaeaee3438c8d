"""What a plan does to the margin, margin under stress, distance to liquidation, and the limits on plans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.pricing import black76_price
from ivhedge.risk.margin.engine import MarginBatch, MarginModel, evaluate
from ivhedge.risk.margin.portfolio import scenario_tables
from ivhedge.risk.margin.positions import Account
from ivhedge.risk.margin.rules import ScenarioRules
from ivhedge.risk.margin.standard import standard_tables

__all__ = [
    "DistanceStatus",
    "LiquidationDistance",
    "MarginCheck",
    "MarginLimits",
    "Stress",
    "WhatIf",
    "check_margin",
    "liquidation_distance",
    "stressed_margin",
    "what_if",
]


VolMove = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """A sudden move of one underlying and of the stablecoin.

    Parameters
    ----------
    name : str
    spot : float
        Relative, of every forward and the index.
    vol : float or callable
        Relative, of every vol; or what gives the vols after the move from times to expiry in years and the
        vols before, both of shape (n,).
    stable_price : float, optional
        Price of the stablecoin after the move.
    """

    name: str
    spot: float = 0.0
    vol: float | VolMove = 0.0
    stable_price: float | None = None

    def __post_init__(self) -> None:
        vol = 0.0 if callable(self.vol) else self.vol
        if not (np.isfinite([self.spot, vol]).all() and self.spot > -1.0 and vol > -1.0):
            raise ConfigError(f"stress {self.name}: expected moves above -1, found {self.spot}, {vol}")
        if self.stable_price is not None and not 0.0 < self.stable_price < np.inf:
            raise ConfigError(f"stress {self.name}: expected stable_price above 0, found {self.stable_price}")

    def moved_vol(self, tau: FloatArray, vol: FloatArray) -> FloatArray:
        """Vols after the move, shape (n,); nan where there was none.

        Raises
        ------
        DataError
            If a vol of the move is not positive and finite.
        """
        if not callable(self.vol):
            return vol * (1.0 + self.vol)
        after = np.asarray(self.vol(tau, vol), dtype=np.float64)
        known = np.isfinite(vol)
        if after.shape != vol.shape or not (np.isfinite(after[known]) & (after[known] > 0.0)).all():
            raise DataError(f"stress {self.name}: expected a positive vol for each option, found {after}")
        return after


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One book before, and after each of p plans; arrays of shape (p,) except `before`'s of shape (1,)."""

    before: MarginBatch
    after: MarginBatch

    @property
    def initial_change(self) -> FloatArray:
        """After less before."""
        return self.after.initial - self.before.initial

    @property
    def maintenance_change(self) -> FloatArray:
        """After less before."""
        return self.after.maintenance - self.before.maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginLimits:
    """Largest shares of equity: initial margin now, maintenance margin after each stress."""

    initial_use: float = 0.6
    stressed_maintenance_use: float = 0.5

    def __post_init__(self) -> None:
        for use in (self.initial_use, self.stressed_maintenance_use):
            if not 0.0 < use <= 1.0:
                raise ConfigError(f"expected margin limits above 0 and at most 1, found {use}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginCheck:
    """Verdict on p plans.

    Parameters
    ----------
    ok : BoolArray, shape (p,)
    breached : tuple of tuple of str
        Per plan the limits it breaks: ``initial_use``, ``maintenance after <stress>``.
    what_if : WhatIf
    """

    ok: BoolArray
    breached: tuple[tuple[str, ...], ...]
    what_if: WhatIf


class DistanceStatus(StrEnum):
    """Whether a distance to liquidation exists within the range searched."""

    FOUND = "found"
    NONE_FOUND = "none_found"
    ALREADY_BELOW = "already_below"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationDistance:
    """Relative moves at which equity meets maintenance, NaN where the status is not found."""

    spot_down: float
    spot_up: float
    vol_down: float
    vol_up: float
    status: dict[str, DistanceStatus]


def what_if(
    model: MarginModel,
    plans: ArrayLike,
    account: Account | None = None,
    *,
    prices: ArrayLike | None = None,
    fees: ArrayLike = 0.0,
) -> WhatIf:
    """Margin before and after each plan.

    Parameters
    ----------
    model : MarginModel
    plans : array_like, shape (p, rows given)
        Changes of size.
    account : Account, optional
    prices : array_like, shape (rows given,) or (p, rows given), optional
        Trade prices in the units of the marks, which are the default.
    fees : array_like, shape (p,) or scalar
        In the margin currency.

    Raises
    ------
    DataError
        If shapes do not fit or a number is not finite.
    """
    account = Account() if account is None else account
    sizes, cash, unrealised = _after(model, plans, account, prices, fees)
    return WhatIf(
        before=evaluate(model, None, account),
        after=evaluate(_on_rows(model), sizes, account, cash=cash, unrealised=unrealised),
    )


def _on_rows(model: MarginModel) -> MarginModel:
    return replace(model, column=np.arange(len(model.positions.names), dtype=np.int64))


def _after(
    model: MarginModel, plans: ArrayLike, account: Account, prices: ArrayLike | None, fees: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    given = np.atleast_2d(np.asarray(plans, dtype=np.float64))
    trades = model.net(given)
    p = model.positions
    cost = np.asarray(fees, dtype=np.float64)
    if cost.ndim > 1 or cost.size not in (1, trades.shape[0]) or not np.isfinite(cost).all():
        raise DataError(f"expected finite fees of shape ({trades.shape[0]},), found shape {cost.shape}")
    premium = trades * np.where(p.is_option, p.mark, 0.0)
    cash = account.cash - cost - premium.sum(axis=1)
    unrealised = np.full(trades.shape[0], account.unrealised)
    if prices is not None:
        # Against trading at the mark: an option's edge is cash, a future's is unrealised.
        paid = np.asarray(prices, dtype=np.float64)
        if paid.shape not in ((given.shape[1],), given.shape):
            raise DataError(f"expected prices of shape ({given.shape[1]},), found {paid.shape}")
        mark, option = p.mark[model.column], p.is_option[model.column]
        traded = given != 0.0
        if not np.isfinite(np.where(traded, paid, 0.0)).all():
            raise DataError("expected finite prices of everything traded, found NaN or infinity")
        paid = np.where(traded, paid, mark)
        cash = cash - (given * np.where(option, paid - mark, 0.0)).sum(axis=1)
        forward, inverse = p.forward[model.column], p.is_inverse[model.column]
        edge = np.where(inverse, forward / paid - 1.0, forward - paid)
        unrealised = unrealised + (given * np.where(option, 0.0, edge)).sum(axis=1)
    return p.size + trades, np.asarray(cash), unrealised


def _moved(
    model: MarginModel, account: Account, stress: Stress
) -> tuple[MarginModel, Account, FloatArray, FloatArray]:
    # The model after the move, the account, the factor on sizes and the P&L per size of the futures.
    p = model.positions
    up = 1.0 + stress.spot
    forward, vol = p.forward * up, stress.moved_vol(p.tau, p.vol)
    mark = forward.copy()
    o = np.flatnonzero(p.is_option)
    unit, moved_unit = np.where(p.is_inverse, p.forward, 1.0)[o], np.where(p.is_inverse, forward, 1.0)[o]
    old = black76_price(p.forward[o], p.strike[o], p.tau[o], p.vol[o], p.is_call[o])
    new = black76_price(forward[o], p.strike[o], p.tau[o], vol[o], p.is_call[o])
    mark[o] = np.maximum(p.mark[o] * unit + new - old, 0.0) / moved_unit
    moved = replace(p, index=p.index * up, forward=forward, vol=vol, mark=mark)
    rules = model.profile.rules
    tables = (
        scenario_tables(moved, rules) if isinstance(rules, ScenarioRules) else standard_tables(moved, rules)
    )
    future = ~p.is_option
    scale = np.where(future & p.is_inverse, 1.0 / up, 1.0)
    pnl = np.where(future, np.where(p.is_inverse, 1.0 - 1.0 / up, p.forward * stress.spot), 0.0)
    carried = replace(
        account,
        collateral=tuple(
            replace(c, price=c.price * up) if c.risk_cancelling else c for c in account.collateral
        ),
        stable_price=account.stable_price if stress.stable_price is None else stress.stable_price,
    )
    return replace(_on_rows(model), positions=moved, tables=tables), carried, scale, pnl


def _evaluate_moved(
    model: MarginModel,
    account: Account,
    stress: Stress,
    sizes: FloatArray,
    cash: FloatArray,
    unrealised: FloatArray,
) -> MarginBatch:
    moved, carried, scale, pnl = _moved(model, account, stress)
    return evaluate(moved, sizes * scale, carried, cash=cash, unrealised=unrealised + sizes @ pnl)


def stressed_margin(
    model: MarginModel,
    stresses: Sequence[Stress],
    account: Account | None = None,
    *,
    plans: ArrayLike | None = None,
    prices: ArrayLike | None = None,
    fees: ArrayLike = 0.0,
) -> dict[str, MarginBatch]:
    """Margin and equity after each stress, by full revaluation; of the book, or of it after each plan.

    Raises
    ------
    ConfigError
        If two stresses have one name.
    DataError
        As `what_if`.
    """
    account = Account() if account is None else account
    if len({s.name for s in stresses}) != len(stresses):
        raise ConfigError(f"expected each stress once, found {[s.name for s in stresses]}")
    trades = np.zeros((1, model.column.size)) if plans is None else plans
    sizes, cash, unrealised = _after(model, trades, account, prices, fees)
    return {s.name: _evaluate_moved(model, account, s, sizes, cash, unrealised) for s in stresses}


def check_margin(
    model: MarginModel,
    plans: ArrayLike,
    limits: MarginLimits,
    account: Account | None = None,
    *,
    stresses: Sequence[Stress] = (),
    prices: ArrayLike | None = None,
    fees: ArrayLike = 0.0,
) -> MarginCheck:
    """Tell which plans stay within the margin limits, now and after every stress.

    Raises
    ------
    ConfigError, DataError
        As `what_if` and `stressed_margin`.
    """
    result = what_if(model, plans, account, prices=prices, fees=fees)
    after = result.after
    bad = {"initial_use": ~(after.initial <= limits.initial_use * after.equity)}
    for name, batch in stressed_margin(
        model, stresses, account, plans=plans, prices=prices, fees=fees
    ).items():
        use = limits.stressed_maintenance_use
        bad[f"maintenance after {name}"] = ~(batch.maintenance <= use * batch.equity)
    broken = np.stack(list(bad.values()))
    names = list(bad)
    breached = tuple(tuple(names[i] for i in np.flatnonzero(column)) for column in broken.T)
    return MarginCheck(ok=np.asarray(~broken.any(axis=0)), breached=breached, what_if=result)


def liquidation_distance(
    model: MarginModel,
    account: Account | None = None,
    *,
    largest_fall: float = 0.95,
    largest_rise: float = 5.0,
    steps: int = 40,
) -> LiquidationDistance:
    """Spot and vol moves, down and up, at which equity first meets the maintenance margin.

    Each direction is searched outwards in `steps` equal log moves, then the first crossing is refined on
    full revaluation. A pair of crossings within one step can be missed.

    Raises
    ------
    ConfigError
        If the range is empty.
    """
    account = Account() if account is None else account
    if not (0.0 < largest_fall < 1.0 and 0.0 < largest_rise < np.inf and steps >= 2):
        raise ConfigError(f"expected a fall in (0, 1), a rise above 0, steps >= 2, found {largest_fall}")
    sizes = model.positions.size[None, :]
    cash, unrealised = np.array([account.cash]), np.array([account.unrealised])

    def excess(spot: float, vol: float) -> float:
        stress = Stress(name="move", spot=spot, vol=vol)
        batch = _evaluate_moved(model, account, stress, sizes, cash, unrealised)
        return float(batch.equity[0] - batch.maintenance[0])

    ways: dict[str, tuple[Callable[[float], float], float]] = {
        "spot_down": (lambda x: excess(float(np.expm1(x)), 0.0), float(np.log1p(-largest_fall))),
        "spot_up": (lambda x: excess(float(np.expm1(x)), 0.0), float(np.log1p(largest_rise))),
        "vol_down": (lambda x: excess(0.0, float(np.expm1(x))), float(np.log1p(-largest_fall))),
        "vol_up": (lambda x: excess(0.0, float(np.expm1(x))), float(np.log1p(largest_rise))),
    }
    found = {name: _first_root(function, end, steps) for name, (function, end) in ways.items()}
    return LiquidationDistance(
        **{name: move for name, (move, _) in found.items()},
        status={name: status for name, (_, status) in found.items()},
    )


def _first_root(function: Callable[[float], float], end: float, steps: int) -> tuple[float, DistanceStatus]:
    from scipy.optimize import brentq

    before, value = 0.0, function(0.0)
    if value < 0.0:
        return np.nan, DistanceStatus.ALREADY_BELOW
    for x in np.linspace(0.0, end, steps + 1)[1:].tolist():
        if function(x) <= 0.0:
            root = brentq(function, before, x, xtol=1e-12, rtol=1e-12)
            return float(np.expm1(root)), DistanceStatus.FOUND
        before = x
    return np.nan, DistanceStatus.NONE_FOUND
