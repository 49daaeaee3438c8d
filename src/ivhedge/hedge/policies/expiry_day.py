"""Short-dated gamma: how to hedge the options of one expiry in its last days, and when not to.

Deribit settles on the mean of the index over the last 30 minutes. From the begin of that window delta fades
with the share of the mean that is still open, so a hedge is worked off in equal parts and is gone when the
options are. Before it, gamma near a strike grows like 1/√τ: the band widens with gamma, the time the spot
needs to cross it falls, and what a jump costs grows until options are cheaper than hedging.
"""

from dataclasses import dataclass
from math import cbrt, isfinite

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.policies.protocol import positive
from ivhedge.hedge.policies.settling import ExpiryLegs, SettlingOptions
from ivhedge.surface.averaging import SETTLEMENT_WINDOW_NS
from ivhedge.surface.clock import VarianceClock

__all__ = ["ExpiryAdvice", "ExpiryRules", "advise_expiry"]

_SECONDS_PER_YEAR = 365.0 * 86_400.0
_NEAR = 1.0  # deviations of the settlement within which a strike pins


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRules:
    """Costs, aversion and limits.

    Parameters
    ----------
    cost : float
        Of hedging with the underlying, one way, per unit of value.
    option_cost : float
        Of closing an option, coins per coin of notional: half spread and fee.
    aversion : float
        Of one notional, as in `WhalleyWilmott`.
    gap : float
        Move of the index between two looks that has to be survivable, 0.01 = 1 %.
    max_gamma_1pct : float
        Largest change of delta over a 1 % move, coins.
    max_gap_loss : float
        Largest loss over ±gap, hedged at the start of it, coins.
    watch_hours : float
        Further from expiry the ordinary policy holds and nothing is advised but the band.
    min_interval_seconds, max_interval_seconds : float
        Between which looks are advised.

    Raises
    ------
    ConfigError
    """

    cost: float = 0.0005
    option_cost: float = 0.0005
    aversion: float = 100.0
    gap: float = 0.01
    max_gamma_1pct: float = np.inf
    max_gap_loss: float = np.inf
    watch_hours: float = 48.0
    min_interval_seconds: float = 1.0
    max_interval_seconds: float = 3_600.0

    def __post_init__(self) -> None:
        for name in ("aversion", "gap", "watch_hours", "min_interval_seconds", "max_interval_seconds"):
            positive(name, getattr(self, name))
        for name in ("cost", "option_cost"):
            positive(name, getattr(self, name), zero=True)
        if not self.gap < 1.0 or self.min_interval_seconds > self.max_interval_seconds:
            raise ConfigError(
                f"expected a gap below 1 and intervals in order, found {self.gap}, "
                f"{self.min_interval_seconds} and {self.max_interval_seconds}"
            )
        for name in ("max_gamma_1pct", "max_gap_loss"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"expected {name} above 0, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryAdvice:
    """What to do about one expiry, with the figures it rests on; coins unless the name says otherwise.

    Parameters
    ----------
    hedge : float
        Hedge that makes the expiry delta neutral on its settlement average.
    half_width : float
        Of the band round it, Whalley-Wilmott's at the net gamma of now.
    interval_seconds : float
        Mean time in which the spot crosses the band; inside the averaging window no longer than an eighth of
        what is left of it.
    gamma_1pct : float
        Change of delta over a 1 % rise.
    gap_loss : float
        Loss over the worse of ±gap, hedged before, >= 0.
    pinned : float
        Gross quantity with the strike within one deviation of the settlement.
    hedging_cost, closing_cost : float
        Expected cost and risk charge of hedging the expiry to its end; cost of closing its options now.
    shed_gamma : bool
        Reduce gamma by options: a limit is broken, or closing costs less than hedging.
    shed_share : float
        Share of the expiry's options to close, 0 to 1, the same for each.
    flatten : bool
        Close before expiry rather than hedge to settlement.
    averaging : bool
        The settlement window is open: work the hedge off with it.
    unwind_per_minute : float
        Change of `hedge` per minute from the passing of the window alone.
    reasons : tuple of str
    """

    hedge: float
    half_width: float
    interval_seconds: float
    gamma_1pct: float
    gap_loss: float
    pinned: float
    hedging_cost: float
    closing_cost: float
    shed_gamma: bool
    shed_share: float
    flatten: bool
    averaging: bool
    unwind_per_minute: float
    reasons: tuple[str, ...]


def advise_expiry(
    legs: ExpiryLegs,
    *,
    ts_ns: int,
    expiry_ns: int,
    index: float,
    rules: ExpiryRules,
    known_average: float | None = None,
    clock: VarianceClock | None = None,
    window_ns: int = SETTLEMENT_WINDOW_NS,
) -> ExpiryAdvice:
    """Advise on the options of one expiry.

    Parameters
    ----------
    legs : ExpiryLegs
    ts_ns, expiry_ns : int
        Now and the expiry, nanoseconds UTC.
    index : float
        USD, > 0; stands for the forward too.
    rules : ExpiryRules
    known_average : float, optional
        Mean of the index since the averaging window opened, USD; needed inside it.
    clock : VarianceClock, optional
        Whose time vols are per; calendar time without it.
    window_ns : int
        Length of the averaging window.

    Returns
    -------
    ExpiryAdvice

    Raises
    ------
    DataError
        If the expiry has passed, the index is not positive, or the average is missing inside the window.

    Notes
    -----
    With ``v = (S·Γ·σ_now)²``, the variance of delta per year, the spot leaves a band of half width H from its
    centre after H²/v on average; a reflected delta pays ``cost·v/(2H)`` and leaves a variance of
    ``σ_now²·H²/3`` a year. At the strike both charges grow like τ^(−2/3), so from now to expiry they sum to
    three times the present rate times the time left, with the share of pinned options as its weight.
    """
    left_ns = expiry_ns - ts_ns
    if left_ns <= 0:
        raise DataError("expected an expiry ahead, found one that has passed; settle it first")
    if not (isfinite(index) and index > 0.0):
        raise DataError(f"expected a positive, finite index, found {index}")
    book = SettlingOptions(legs, ts_ns, expiry_ns, known_average, clock, window_ns)
    delta, gamma_cash = book.greeks(index)
    net_delta, net_gamma = float(legs.quantity @ delta), float(legs.quantity @ gamma_cash)
    gross = float(np.abs(legs.quantity).sum())
    years = left_ns / 1e9 / _SECONDS_PER_YEAR
    shares = legs.quantity / gross if gross > 0.0 else np.zeros(legs.quantity.size)
    speed = float(np.abs(shares) @ legs.vol) * _pace(ts_ns, clock)
    gamma = float(shares @ gamma_cash)
    band = _band(gamma, rules)
    averaging = left_ns < window_ns
    interval = _interval(band, gamma, speed, rules)
    if averaging:
        interval = max(min(interval, left_ns / 8e9), rules.min_interval_seconds)
    gap_loss = max(0.0, *(-book.hedged_pnl(index, net_delta, move) for move in (rules.gap, -rules.gap)))
    near = book.distance(index) <= _NEAR
    pinned = float(np.abs(legs.quantity[near]).sum())
    charge = pinned * _charge(band, gamma, speed, rules) * 3.0 * years
    found = _Findings(
        gamma_1pct=0.01 * net_gamma,
        gap_loss=gap_loss,
        pinned=pinned,
        gross=gross,
        hedging_cost=charge,
        closing_cost=rules.option_cost * gross,
        hours=left_ns / NS_PER_HOUR,
        averaging=averaging,
    )
    share, flatten, reasons = _decide(found, rules)
    return ExpiryAdvice(
        hedge=-net_delta,
        half_width=gross * band,
        interval_seconds=interval,
        gamma_1pct=found.gamma_1pct,
        gap_loss=gap_loss,
        pinned=pinned,
        hedging_cost=charge,
        closing_cost=found.closing_cost,
        shed_gamma=share > 0.0,
        shed_share=share,
        flatten=flatten,
        averaging=averaging,
        unwind_per_minute=net_delta * 6e10 / left_ns if averaging else 0.0,
        reasons=reasons,
    )


def _pace(ts_ns: int, clock: VarianceClock | None) -> float:
    """Deviation per root of calendar time now, against that of the clock's year."""
    return 1.0 if clock is None else float(np.sqrt(clock.rate(ts_ns)))


def _band(gamma: float, rules: ExpiryRules) -> float:
    # Whalley-Wilmott of one coin of gross; no band is wider than the position.
    return min(cbrt(1.5 * rules.cost * gamma * gamma / rules.aversion), 1.0)


def _interval(band: float, gamma: float, speed: float, rules: ExpiryRules) -> float:
    variance = (gamma * speed) ** 2
    crossing = band * band / variance * _SECONDS_PER_YEAR if variance > 0.0 else np.inf
    return float(min(max(crossing, rules.min_interval_seconds), rules.max_interval_seconds))


def _charge(band: float, gamma: float, speed: float, rules: ExpiryRules) -> float:
    """Cost and risk of hedging one coin, coins per year."""
    if band == 0.0:
        return 0.0
    trading = rules.cost * (gamma * speed) ** 2 / (2.0 * band)
    return trading + 0.5 * rules.aversion * speed**2 * band**2 / 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    gamma_1pct: float
    gap_loss: float
    pinned: float
    gross: float
    hedging_cost: float
    closing_cost: float
    hours: float
    averaging: bool


def _decide(found: _Findings, rules: ExpiryRules) -> tuple[float, bool, tuple[str, ...]]:
    if found.gross == 0.0:
        return 0.0, False, ("no options are held",)
    reasons: list[str] = []
    share = 0.0
    for name, value, limit in (
        ("gamma for 1 %", abs(found.gamma_1pct), rules.max_gamma_1pct),
        (f"loss over a gap of {rules.gap:.2%}", found.gap_loss, rules.max_gap_loss),
    ):
        if value > limit:
            share = max(share, 1.0 - limit / value)
            reasons.append(f"{name} of {value:.4g} coins is above {limit:.4g}: shed it by options")
    if found.averaging:
        reasons.append("the settlement average runs: work the hedge off with it, close no options for delta")
        return share, False, tuple(reasons)
    if found.hours > rules.watch_hours:
        reasons.append(f"{found.hours:.1f} h left, above {rules.watch_hours:g}: the ordinary policy holds")
        return share, False, tuple(reasons)
    if found.pinned > 0.0:
        reasons.append(
            f"{found.pinned:.4g} of {found.gross:.4g} coins have the strike within a deviation of settlement"
        )
    # Long gamma is paid for with theta and loses nothing in a gap: only short gamma is bought back.
    flatten = found.gamma_1pct < 0.0 and found.hedging_cost > found.closing_cost
    if flatten:
        reasons.append(
            f"hedging to expiry costs {found.hedging_cost:.4g} coins, closing {found.closing_cost:.4g}"
        )
        share = 1.0
    if not reasons:
        reasons.append("no strike near, no limit touched: keep the band")
    return share, flatten, tuple(reasons)
