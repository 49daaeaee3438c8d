"""Explain what a book earned between two marks: Taylor terms or ordered revaluation along sub-steps."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.risk.attribution.book import ExplainStatus, HeldLegs, LegMarks
from ivhedge.risk.attribution.bridge import BridgedPath, SpotPath, bridge
from ivhedge.risk.attribution.explanation import FLOWS, Explanation
from ivhedge.risk.attribution.factors import (
    MARKET_FACTORS,
    MoveParts,
    check_sequence,
    move_parts,
    revalue,
    revalue_futures,
    taylor_factors,
)
from ivhedge.risk.attribution.taylor import (
    MODEL_TERMS,
    Expansion,
    Moves,
    expand_futures,
    expand_options,
)
from ivhedge.risk.attribution.vol_moves import surface_move

__all__ = ["ExplainSettings", "Flows", "explain", "trading_profit"]

_FACTORS: Final = (*MARKET_FACTORS, "cross")
_LOST: Final = (ExplainStatus.NO_VOL, ExplainStatus.NO_MARK, ExplainStatus.EXPIRED)
_SEVERITY: Final = {status: rank for rank, status in enumerate(ExplainStatus)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSettings:
    """How to explain.

    Parameters
    ----------
    method : {"taylor", "revaluation"}
        Terms of an expansion with a residual, or ordered full revaluation, which has none.
    order : {2, 3}
        Of the classical expansion.
    nodes : int
        0 = derivatives at each sub-step's start; otherwise the exact second-order remainder by quadrature.
    max_step_ns : int or None
        Longest sub-step; None = one step from mark to mark.
    skew_stickiness : float
        R of the bridge between the marks, see `ivhedge.risk.attribution.bridge`.
    exact_beyond : float or None
        A sub-step of a leg whose move ``|dF| / (F·vol·sqrt(tau)) + |dvol| / vol`` is larger takes the exact
        remainder: a series does not converge there, as in the last hours before expiry. None = never, the
        classical expansion throughout.
    sequence : tuple of str
        Order of the revaluation, a permutation of `MARKET_FACTORS`.
    symmetric : bool
        Average the revaluation with its reverse order.
    """

    method: Literal["taylor", "revaluation"] = "taylor"
    order: Literal[2, 3] = 3
    nodes: int = 0
    max_step_ns: int | None = NS_PER_HOUR
    skew_stickiness: float = 0.5
    exact_beyond: float | None = 0.5
    sequence: tuple[str, ...] = MARKET_FACTORS
    symmetric: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("taylor", "revaluation"):
            raise ConfigError(f"expected method taylor or revaluation, found {self.method!r}")
        if self.order not in (2, 3) or self.nodes < 0:
            raise ConfigError(f"expected order 2 or 3 and nodes >= 0, found {self.order} and {self.nodes}")
        if self.max_step_ns is not None and self.max_step_ns <= 0:
            raise ConfigError(f"expected a positive max_step_ns or None, found {self.max_step_ns}")
        if self.exact_beyond is not None and not self.exact_beyond >= 0.0:
            raise ConfigError(f"expected exact_beyond >= 0 or None, found {self.exact_beyond}")
        if not np.isfinite(self.skew_stickiness):
            raise ConfigError(f"expected a finite skew_stickiness, found {self.skew_stickiness}")
        check_sequence(self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """What the ledger posted over the step beside the marks, in each leg's settlement currency.

    Parameters
    ----------
    funding, fees, trading : array_like, shape (n,)
        Received positive, paid negative. `trading`: profit of trades inside the step against the end's mark,
        see `trading_profit`.
    """

    funding: ArrayLike = 0.0
    fees: ArrayLike = 0.0
    trading: ArrayLike = 0.0

    def arrays(self, count: int) -> dict[str, FloatArray]:
        """Each flow with one value per leg.

        Raises
        ------
        DataError
            If one is not finite or has another length.
        """
        found = {}
        for name in FLOWS:
            given = np.asarray(getattr(self, name), dtype=np.float64)
            if given.shape not in ((), (count,)) or not np.isfinite(given).all():
                raise DataError(
                    f"expected {name} as one finite number per leg ({count}), found shape {given.shape}; "
                    "a leg without one has 0"
                )
            found[name] = np.broadcast_to(given, count)
        return found


def trading_profit(
    size: ArrayLike, price: ArrayLike, mark: ArrayLike, is_inverse_future: ArrayLike = False
) -> FloatArray:
    """Profit of trades against the mark at the end of the step.

    Parameters
    ----------
    size : array_like
        Contracts times multiplier, positive = bought.
    price, mark : array_like
        Paid, and at the end of the step.
    is_inverse_future : array_like of bool
    """
    size, price, mark = (np.asarray(a, dtype=np.float64) for a in (size, price, mark))
    inverse = np.asarray(is_inverse_future, dtype=np.bool_)
    return np.asarray(np.where(inverse, size * (mark - price) / (mark * price), size * (mark - price)))


def explain(
    legs: HeldLegs,
    start: LegMarks,
    end: LegMarks,
    *,
    path: SpotPath | None = None,
    flows: Flows | None = None,
    ledger_profit: ArrayLike | None = None,
    settings: ExplainSettings | None = None,
) -> Explanation:
    """Explain the P&L of legs held between two marks.

    Parameters
    ----------
    legs : HeldLegs
    start, end : LegMarks
        Of the same legs, in time order.
    path : SpotPath, optional
        Spot between the marks; without it, a straight line in the logarithm.
    flows : Flows, optional
    ledger_profit : array_like, shape (n,), optional
        What the ledger booked in all, settlement currency; NaN = not known. Needed where a mark is missing.
        By default marks and flows make it up.
    settings : ExplainSettings, optional

    Returns
    -------
    Explanation
        Every split adds up to the ledger's profit: the gap between marks and the model, and legs that cannot
        be explained, are in `unexplained`.

    Raises
    ------
    DataError
        If marks and legs differ, the path does not cover the step, or a leg without marks has no
        `ledger_profit`.
    """
    settings = settings or ExplainSettings()
    _check_marks(legs, start, end)
    status = tuple(_worse(a, b) for a, b in zip(start.status, end.status, strict=True))
    usable = np.array([s not in _LOST for s in status], dtype=np.bool_)
    posted = (flows or Flows()).arrays(legs.count)
    profit = _profit(legs, start, end, status, posted, ledger_profit)
    track = bridge(
        legs,
        start,
        end,
        usable,
        path=path,
        max_step_ns=settings.max_step_ns,
        skew_stickiness=settings.skew_stickiness,
    )
    parts = move_parts(legs, track, surface_move(start.surface, end.surface))
    terms, factors, change = _explain_path(legs, track, parts, usable, settings)
    steps = track.ts_ns.size - 1
    unexplained = profit - change.sum(axis=0) - sum(posted.values(), np.zeros(legs.count))
    extra = {**posted, "unexplained": unexplained}
    # Flows and what the marks do not explain are known per interval: they stand at its last sub-step.
    for name, amounts in extra.items():
        at_end = np.zeros((steps, legs.count))
        at_end[-1] = amounts
        terms[name] = factors[name] = at_end
    return Explanation(
        start_ns=track.ts_ns[:-1],
        end_ns=track.ts_ns[1:],
        legs=legs.names,
        underlyings=(legs.underlying,) * legs.count,
        currencies=legs.currencies,
        roles=legs.roles,
        expiry_ns=legs.expiry_ns,
        status=status,
        term_names=tuple(terms),
        terms=np.stack(list(terms.values()), axis=-1),
        factor_names=tuple(factors),
        factors=np.stack(list(factors.values()), axis=-1),
    )


def _worse(start: ExplainStatus, end: ExplainStatus) -> ExplainStatus:
    if start is ExplainStatus.SETTLED:
        return ExplainStatus.EXPIRED
    return max(start, end, key=_SEVERITY.__getitem__)


def _check_marks(legs: HeldLegs, start: LegMarks, end: LegMarks) -> None:
    for name, marks in (("start", start), ("end", end)):
        if marks.price.shape != (legs.count,):
            raise DataError(f"expected marks of {legs.count} legs at the {name}, found {marks.price.shape}")


def _profit(
    legs: HeldLegs,
    start: LegMarks,
    end: LegMarks,
    status: tuple[ExplainStatus, ...],
    posted: dict[str, FloatArray],
    ledger_profit: ArrayLike | None,
) -> FloatArray:
    inverse = legs.is_coin & ~legs.is_option
    rise = end.price - start.price
    rise = np.divide(rise, end.price * start.price, out=rise, where=inverse)
    marked = legs.size * rise
    over = np.array([s is ExplainStatus.EXPIRED for s in status], dtype=np.bool_)
    marked = np.where(over, 0.0, marked) + sum(posted.values(), np.zeros(legs.count))
    given = np.full(legs.count, np.nan) if ledger_profit is None else np.asarray(ledger_profit, np.float64)
    if given.shape not in ((), (legs.count,)):
        raise DataError(f"expected one ledger_profit per leg ({legs.count}), found shape {given.shape}")
    profit = np.where(np.isfinite(given), given, marked)
    lost = np.flatnonzero(~np.isfinite(profit))
    if lost.size:
        leg = int(lost[0])
        raise DataError(
            f"{legs.names[leg]}: expected a mark at both ends or what the ledger booked, "
            f"found {status[leg].value}; pass ledger_profit for legs without marks"
        )
    return profit


def _explain_path(
    legs: HeldLegs, track: BridgedPath, parts: MoveParts, usable: BoolArray, settings: ExplainSettings
) -> tuple[dict[str, FloatArray], dict[str, FloatArray], FloatArray]:
    shape = parts.forward["spot"].shape
    moving = usable & (track.share > 0.0)
    change = np.zeros(shape)
    by_term = {name: np.zeros(shape) for name in (*MODEL_TERMS, "residual")}
    by_factor = {name: np.zeros(shape) for name in (*_FACTORS, "residual")}
    size = np.broadcast_to(legs.size, shape)
    for live, is_option in ((moving & legs.is_option, True), (moving & ~legs.is_option, False)):
        if not live.any():
            continue
        local = MoveParts(
            forward={name: part[live] for name, part in parts.forward.items()},
            vol={name: part[live] for name, part in parts.vol.items()},
        )
        expansion = _expand(legs, track, live, is_option, settings)
        change[live] = size[live] * expansion.change
        residual = expansion.change - sum(expansion.terms.values(), np.zeros(expansion.change.shape))
        terms = {name: expansion.terms.get(name, np.zeros(residual.shape)) for name in MODEL_TERMS}
        if settings.method == "taylor":
            found = taylor_factors(local, expansion, terms) | {"residual": residual}
            for name, values in (terms | {"residual": residual}).items():
                by_term[name][live] = size[live] * values
        else:
            found = _revalue(legs, track, parts, live, is_option, settings)
        for name, values in found.items():
            by_factor[name][live] = size[live] * values
    return (by_term if settings.method == "taylor" else dict(by_factor)), by_factor, change


def _expand(
    legs: HeldLegs, track: BridgedPath, live: BoolArray, is_option: bool, settings: ExplainSettings
) -> Expansion:
    forward0, forward1 = track.forward[:-1][live], track.forward[1:][live]
    strike, call, coin = legs.contracts(live)
    if not is_option:
        return expand_futures(forward0, forward1, coin, order=settings.order, nodes=settings.nodes)
    moves = Moves(
        strike=strike,
        is_call=call,
        is_coin=coin,
        forward0=forward0,
        forward1=forward1,
        vol0=track.vol[:-1][live],
        vol1=track.vol[1:][live],
        tau0=track.tau[:-1][live],
        tau1=track.tau[1:][live],
    )
    return expand_options(
        moves, order=settings.order, nodes=settings.nodes, exact_beyond=settings.exact_beyond
    )


def _revalue(
    legs: HeldLegs,
    track: BridgedPath,
    parts: MoveParts,
    live: BoolArray,
    is_option: bool,
    settings: ExplainSettings,
) -> dict[str, FloatArray]:
    def once(sequence: tuple[str, ...]) -> dict[str, FloatArray]:
        if is_option:
            return revalue(legs, track, parts, live, sequence)
        return revalue_futures(parts, track, live, legs.is_coin, sequence)

    found = once(settings.sequence)
    if settings.symmetric:
        reverse = once(settings.sequence[::-1])
        found = {name: 0.5 * (values + reverse[name]) for name, values in found.items()}
    return found
