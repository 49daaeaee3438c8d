"""What trades are worth at an expiry, at every settlement price, at worst.

Every trade becomes a continuous piecewise linear function of the settlement price S with its costs inside:
premium, trading fee, delivery fee with its cap, a charge for the capital it binds, and the worst its venue's
settlement index may do within a declared distance. Coins are valued at S. A sum of such functions is at its
worst at one of their knots, at S = 0 or without end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.hedge.mispricing.offers import Offer
from ivhedge.ledger.fees import FeeSchedule

__all__ = ["OutcomeSettings", "Outcomes", "outcomes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSettings:
    """What is assumed between now and the settlement.

    Parameters
    ----------
    index_distance : float
        Most that the settlement prices of two venues may differ, relative. Profits over several venues hold
        for any such difference.
    carry_low, carry_high : float
        Bounds of the yearly carry ``ln F / S`` between an expiry and a later one at the earlier's settlement,
        for options that outlive it.
    exit_fee : float
        Of selling what outlives the expiry, as a share of the underlying, spread included.
    exit_cap : float
        Highest exit fee as a share of the least value then.
    hurdle : float
        Yearly return that bound capital must earn: premiums bought and sold, and a share of futures.
    futures_margin : float
        That share.
    """

    index_distance: float = 5e-4
    carry_low: float = -0.10
    carry_high: float = 0.30
    exit_fee: float = 1e-3
    exit_cap: float = 0.25
    hurdle: float = 0.05
    futures_margin: float = 0.05

    def __post_init__(self) -> None:
        shares = ("index_distance", "exit_fee", "exit_cap", "hurdle", "futures_margin")
        for name in shares:
            value = getattr(self, name)
            if not (isfinite(value) and 0.0 <= value < 1.0):
                raise ConfigError(f"expected {name} in [0, 1), found {value}")
        if not -1.0 < self.carry_low <= self.carry_high < 5.0:
            raise ConfigError(
                f"expected -1 < carry_low <= carry_high < 5, found {self.carry_low}, {self.carry_high}"
            )
        if self.exit_cap <= self.exit_fee:
            raise ConfigError(f"expected exit_cap above exit_fee, found {self.exit_cap}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Worst value at expiry of a contract of each trade, USD.

    ``value0 + slope0 S + jump[0] max(S - knot[0], 0) + jump[1] max(S - knot[1], 0)``.

    Parameters
    ----------
    value0, slope0 : FloatArray, shape (n,)
        At S = 0.
    knot, jump : FloatArray, shape (n, 2)
        Where the slope changes, USD, and by how much.
    size : FloatArray, shape (n,)
        Coins of the underlying per contract.
    fits : BoolArray, shape (n,)
        False: not known at this expiry; `reason` says why.
    reason : tuple of str, length n
    """

    value0: FloatArray
    slope0: FloatArray
    knot: FloatArray
    jump: FloatArray
    size: FloatArray
    fits: BoolArray
    reason: tuple[str, ...]

    def at(self, price: ArrayLike) -> FloatArray:
        """Value of one contract of each trade at settlement prices, shape (n, p)."""
        s = np.atleast_1d(np.asarray(price, dtype=np.float64))
        kinked = (self.jump[:, :, None] * np.maximum(s - self.knot[:, :, None], 0.0)).sum(axis=1)
        return np.asarray(self.value0[:, None] + self.slope0[:, None] * s + kinked)

    def worst(self, contracts: ArrayLike) -> tuple[float, float]:
        """Least value of a position over all settlement prices, USD, and where; minus infinity without end.

        Parameters
        ----------
        contracts : array_like, shape (n,)
            At or above 0: the sides are inside.
        """
        q = np.asarray(contracts, dtype=np.float64)
        points = np.concatenate(([0.0], np.unique(self.knot[q > 0.0])))
        values = q @ self.at(points)
        least = int(np.argmin(values))
        slopes = np.concatenate((q * self.slope0, (q[:, None] * self.jump).ravel()))
        # What cancels in exact numbers cancels here up to rounding.
        if slopes.sum() < -1e-12 * np.abs(slopes).sum():
            return -np.inf, np.inf
        return float(values[least]), float(points[least])


def outcomes(
    offers: Sequence[Offer],
    expiry_ns: int,
    *,
    ts_ns: int,
    index: float,
    fees: Mapping[str, FeeSchedule],
    settings: OutcomeSettings,
    one_index: bool,
) -> Outcomes:
    """Worst value of each offer at an expiry.

    Parameters
    ----------
    offers : sequence of Offer, length n
        Later options count by the least they are worth then, to the buyer only; all else must expire then.
    expiry_ns, ts_ns : int
    index : float
        USD; values the capital that coins bind.
    fees : mapping of venue to FeeSchedule
    settings : OutcomeSettings
    one_index : bool
        All offers settle on one index: no distance is charged.

    Returns
    -------
    Outcomes
        An offer that does not fit says why: ``other_expiry``, ``no_delivery_fee`` (the profile does not state
        it), ``uncapped_delivery``.
    """
    n = len(offers)
    value0, slope0, size = np.zeros(n), np.zeros(n), np.ones(n)
    knot, jump = np.zeros((n, 2)), np.zeros((n, 2))
    reasons = []
    h = 0.0 if one_index else 0.5 * settings.index_distance
    years = (expiry_ns - ts_ns) / NS_PER_YEAR
    for i, offer in enumerate(offers):
        instrument, schedule = offer.instrument, fees[offer.instrument.venue]
        delivery = _delivery(offer, expiry_ns, schedule, settings)
        reasons.append(delivery if isinstance(delivery, str) else "")
        size[i] = _coins(instrument, index)
        if isinstance(delivery, str):
            continue
        rate, cap = delivery
        if instrument.is_option:
            a, b = _moneyness(offer, expiry_ns, h, settings)
            value0[i], slope0[i], knot[i], jump[i] = _option(
                bool(instrument.is_call), offer.side, a, b, rate, cap
            )
            value0[i], slope0[i] = value0[i] * size[i], slope0[i] * size[i]
            jump[i] *= size[i]
            premium = offer.side * offer.price * size[i] + offer.fee
            if instrument.is_inverse:
                slope0[i] -= premium
            else:
                value0[i] -= premium
            bound = offer.price * size[i] * (index if instrument.is_inverse else 1.0)
        else:
            value0[i], slope0[i] = _future(offer, h, rate)
            bound = settings.futures_margin * size[i] * index
        value0[i] -= settings.hurdle * years * bound
    fits = np.array([not reason for reason in reasons], dtype=np.bool_)
    return Outcomes(
        value0=value0, slope0=slope0, knot=knot, jump=jump, size=size, fits=fits, reason=tuple(reasons)
    )


def _coins(instrument: Instrument, index: float) -> float:
    multiplier = float(instrument.multiplier)
    in_usd = instrument.is_inverse and not instrument.is_option
    return multiplier / index if in_usd else multiplier


def _delivery(
    offer: Offer, expiry_ns: int, schedule: FeeSchedule, settings: OutcomeSettings
) -> tuple[float, float] | str:
    """Rate and cap of what ends the position, or why it is not known."""
    instrument = offer.instrument
    if instrument.expiry_ns != expiry_ns:
        outlives = instrument.expiry_ns is not None and instrument.expiry_ns > expiry_ns
        if outlives and instrument.is_option and offer.side > 0:
            return settings.exit_fee, settings.exit_cap
        return "other_expiry"
    rule = schedule.rule_for(instrument)
    if rule.delivery is None:
        return "no_delivery_fee"
    rate = float(rule.delivery)
    if not instrument.is_option or rate == 0.0:
        return rate, 0.0
    # Without a cap a fee may exceed the payoff, with a jump at the strike.
    return "uncapped_delivery" if rule.delivery_cap is None else (rate, float(rule.delivery_cap))


def _moneyness(offer: Offer, expiry_ns: int, h: float, settings: OutcomeSettings) -> tuple[float, float]:
    """The payoff of a call is at worst ``max(a S - b, 0)`` per coin, of a put ``max(b - a S, 0)``."""
    instrument = offer.instrument
    strike, later = float(instrument.strike or 0), instrument.expiry_ns != expiry_ns
    carry = 0.0
    if later:
        years = (int(instrument.expiry_ns or 0) - expiry_ns) / NS_PER_YEAR
        carry = (settings.carry_low if instrument.is_call else settings.carry_high) * years
    # A low index hurts the buyer of a call and the seller of a put.
    against = offer.side if instrument.is_call else -offer.side
    move = (1.0 - against * h) * float(np.exp(carry))
    return (1.0, strike / move) if instrument.is_inverse else (move, strike)


def _option(
    is_call: bool, side: int, a: float, b: float, rate: float, cap: float
) -> tuple[float, float, tuple[float, float], tuple[float, float]]:
    """Value and slope at 0, knots and jumps of ``side payoff - min(rate S, cap payoff)``."""
    sign = float(side)
    near, far = sign * a - cap * a, sign * a - rate  # slopes of a call beside its strike and beyond the cap
    if is_call:
        if rate == 0.0:
            return 0.0, 0.0, (b / a, b / a), (sign * a, 0.0)
        turn = cap * b / (cap * a - rate)
        return 0.0, 0.0, (b / a, turn), (near, far - near)
    if rate == 0.0:
        return sign * b, -sign * a, (b / a, b / a), (sign * a, 0.0)
    deep, near = -sign * a - rate, (cap - sign) * a
    turn = cap * b / (cap * a + rate)
    return sign * b, deep, (turn, b / a), (near - deep, -near)


def _future(offer: Offer, h: float, rate: float) -> tuple[float, float]:
    """Value at 0 and slope of a future with its fees."""
    m, side = float(offer.instrument.multiplier), offer.side
    if offer.instrument.is_inverse:
        # Pays m (1 / entry - 1 / settlement) coins.
        return -side * m / (1.0 - side * h) - rate * m, side * m / offer.price - offer.fee
    return -side * m * offer.price - offer.fee, m * (side * (1.0 - side * h) - rate)
