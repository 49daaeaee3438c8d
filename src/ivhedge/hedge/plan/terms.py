"""What a plan may be told besides its limits: how long a hedge is held, and where a trade has an edge."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.risk.legs import Legs

__all__ = ["EdgeQuote", "HoldingPeriod", "check_holding", "checked_edges", "life_days"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingPeriod:
    """How long a hedge serves, and what it costs to get out of it.

    With it a plan counts in USD a day: risk at its price of one day, and a day's share of the cost of a trade
    in and out. Hence it asks for a `RiskModel` whose horizon is a day. Vega dies like ``√(1 − t/T)`` over the
    life T of the book (the mean time to expiry by vega), so `days` count as ``2T/3·(1 − (1 − d/T)^{3/2})``, d
    the lesser of `days` and T. Books about to expire decline by themselves: there is little left of what a
    hedge would have to earn its cost with.

    Parameters
    ----------
    days : float
        Expected, above 0.
    exit_share : float
        Cost of getting out as a share of the cost of getting in: 1 for a trade back, 0 for a hedge that is
        left to expire with the book. >= 0.
    least_life_days: float
        Books of a shorter life get no new option: what a factor model says of their risk is too rough to pay
        for. On recorded chains before 2026-03-15, books of 3 and 6 days were hedged at a loss without it. 0
        leaves it to cost and risk alone.
    """

    days: float
    exit_share: float = 1.0
    least_life_days: float = 7.0

    def __post_init__(self) -> None:
        if not (isfinite(self.days) and self.days > 0.0):
            raise ConfigError(f"expected a holding period above 0 days, found {self.days}")
        if not (isfinite(self.exit_share) and self.exit_share >= 0.0):
            raise ConfigError(f"expected exit_share at or above 0, found {self.exit_share}")
        if not (isfinite(self.least_life_days) and self.least_life_days >= 0.0):
            raise ConfigError(f"expected least_life_days at or above 0, found {self.least_life_days}")

    def counted_days(self, life_days: float) -> float:
        """Days at today's size of the risk, for a book of a given life in days; infinite = futures alone."""
        if not isfinite(life_days):
            return self.days
        held = min(self.days, life_days)
        served = 2.0 * life_days / 3.0 * (1.0 - sqrt(1.0 - held / life_days) ** 3)
        return max(served, 1.0 / 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeQuote:
    """Expected profit of a trade beside the hedge, USD per contract.

    Parameters
    ----------
    buy, sell : float
        Of buying and of selling one contract against its mark, before costs; may be negative.
    max_contracts : float
        Most to hold on a side with a positive edge, what the book holds of the instrument counted, and most
        to trade there in one plan; above 0 and finite, so that no edge, however wrong, is followed without
        end, be it by one plan or by many.
    """

    buy: float = 0.0
    sell: float = 0.0
    max_contracts: float

    def __post_init__(self) -> None:
        if not (isfinite(self.buy) and isfinite(self.sell)):
            raise ConfigError(f"expected finite edges, found {self.buy} and {self.sell}")
        if not (isfinite(self.max_contracts) and self.max_contracts > 0.0):
            raise ConfigError(f"expected max_contracts above 0 and finite, found {self.max_contracts}")

    def room(self, held: float) -> tuple[float, float]:
        """Most contracts to buy and to sell, of an instrument of which `held` are held."""
        cap = self.max_contracts
        return (
            max(cap - max(held, 0.0), 0.0) if self.buy > 0.0 else inf,
            max(cap - max(-held, 0.0), 0.0) if self.sell > 0.0 else inf,
        )


def check_holding(horizon_days: float) -> None:
    """Refuse a holding period with a risk model of another horizon than a day.

    Raises
    ------
    ConfigError
    """
    if abs(horizon_days - 1.0) > 1e-9:
        raise ConfigError(
            f"expected horizon_days 1 with a holding period, found {horizon_days:g}: it weighs a day's risk "
            "against a day's share of the cost; leave RiskModel.horizon_days at 1 and set HoldingPeriod.days"
        )


def checked_edges(
    edges: Mapping[str, EdgeQuote] | None, instruments: Sequence[Instrument]
) -> Mapping[str, EdgeQuote]:
    """The edges, none for an instrument that is not in the market.

    Raises
    ------
    ConfigError
        If a key is not one of the market's.
    """
    if not edges:
        return {}
    unknown = sorted(set(edges) - {item.key for item in instruments})
    if unknown:
        raise ConfigError(
            f"expected edges on instruments of the market, found {unknown[:5]}; use Instrument.key, and add "
            "the instrument to the market"
        )
    return edges


def life_days(
    legs: Legs,
    loadings: FloatArray,
    hedges: Collection[str],
) -> float:
    """Mean time to expiry of a book's own options by vega, days; infinite without options.

    Parameters
    ----------
    legs : Legs
        Of the book, n of them.
    loadings : FloatArray, shape (k, n)
        On the Greeks, vega by bucket from the third row on.
    hedges : collection of str
        Keys of options that are there as hedges.
    """
    own = (
        legs.is_option
        & legs.priced
        & np.array([i.key not in hedges for i in legs.instruments], dtype=np.bool_)
    )
    vega = np.where(own, np.abs(loadings[2:]).sum(axis=0), 0.0)
    days = np.where(own, legs.tau, 0.0) * DAYS_PER_YEAR
    total = float(vega.sum())
    return float(vega @ days) / total if total > 0.0 else inf
