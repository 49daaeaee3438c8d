"""What a side of a quote is worth taking: value, costs there and back, error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.hedge.mispricing.bands import FairBand
from ivhedge.hedge.mispricing.offers import Offer
from ivhedge.hedge.mispricing.reversion import Reversion
from ivhedge.pricing import black76_greeks, black76_price

__all__ = ["QuoteMispricing", "StatisticalSettings", "Worth", "worth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticalSettings:
    """What counts as a finding, and what trading it costs.

    Parameters
    ----------
    min_z : float
        Least net edge, in its standard errors.
    min_edge_usd : float
        Least net edge of a contract.
    max_error_share : float
        Largest standard error of the fair vol, as a share of it: beyond, nobody knows the fair value.
    horizon_s : float
        Time given to a quote to come back.
    hedge_bps : float
        Of the delta's notional, each way: spread and fee of the hedge.
    funding_8h : float
        Funding that the hedge may have to pay, decimal per 8 hours.
    forward_error : float
        Standard deviation of a venue's forward, relative.
    index_error : float
        Standard deviation of the settlement prices of two venues, relative.
    """

    min_z: float = 3.0
    min_edge_usd: float = 1.0
    max_error_share: float = 0.05
    horizon_s: float = 3600.0
    hedge_bps: float = 1.0
    funding_8h: float = 1e-4
    forward_error: float = 1e-4
    index_error: float = 2e-4

    def __post_init__(self) -> None:
        for name in ("min_z", "min_edge_usd", "max_error_share", "horizon_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0.0):
                raise ConfigError(f"expected {name} above 0, found {value}")
        for name in ("hedge_bps", "funding_8h", "forward_error", "index_error"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0.0):
                raise ConfigError(f"expected {name} at or above 0, found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteMispricing:
    """A quote off its fair value by more than trading it there and back costs.

    Parameters
    ----------
    offer : Offer
        The side to take.
    fair_price : float
        In the instrument's price unit.
    fair_vol, vol_error : float
        Decimal; the venue's usual bias is in the fair vol.
    gross_usd : float
        A contract's fair value less its price, or the other way round for a sale.
    edge_usd : float
        A contract's expected gain: of the gross what comes back within the horizon, less both fees, the
        half-spread on the way out, the delta hedge and its funding.
    error_usd : float
        Standard deviation of the fair value of a contract.
    reversion : Reversion
    """

    offer: Offer
    fair_price: float
    fair_vol: float
    vol_error: float
    gross_usd: float
    edge_usd: float
    error_usd: float
    reversion: Reversion

    @property
    def z(self) -> float:
        """Net edge in standard errors."""
        return self.edge_usd / self.error_usd

    @property
    def capacity_usd(self) -> float:
        """Net edge of all that is shown."""
        return self.edge_usd * self.offer.contracts


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Of each side, shape (n,): fair price and vol, and USD per contract."""

    fair_price: FloatArray
    fair_vol: FloatArray
    vol_error: FloatArray
    gross: FloatArray
    edge: FloatArray
    error: FloatArray
    delta: FloatArray

    def finding(self, i: int, offers: Sequence[Offer], known: Mapping[str, Reversion]) -> QuoteMispricing:
        """Put one side into a finding."""
        return QuoteMispricing(
            offer=offers[i],
            fair_price=float(self.fair_price[i]),
            fair_vol=float(self.fair_vol[i]),
            vol_error=float(self.vol_error[i]),
            gross_usd=float(self.gross[i]),
            edge_usd=float(self.edge[i]),
            error_usd=float(self.error[i]),
            reversion=known[offers[i].instrument.venue],
        )


def worth(
    offers: Sequence[Offer],
    rows: IntArray,
    band: FairBand,
    index: float,
    known: Mapping[str, Reversion],
    settings: StatisticalSettings,
) -> Worth:
    """Value, costs and error of each side, USD per contract."""
    q = band.quotes
    forward, strike, tau, is_call = band.forward[rows], q.strike[rows], q.tau[rows], q.is_call[rows]
    vol, vol_error = band.vol[rows], band.error[rows]
    side = np.array([o.side for o in offers], dtype=np.float64)
    price, fee = np.array([o.price for o in offers]), np.array([o.fee for o in offers])
    multiplier = np.array([float(o.instrument.multiplier) for o in offers])
    in_coin: BoolArray = np.array([o.instrument.is_inverse for o in offers], dtype=np.bool_)
    usd = multiplier * np.where(in_coin, index, 1.0)  # of one price unit of one contract
    unit = np.where(in_coin, 1.0 / forward, 1.0)  # price units of a forward dollar
    greeks = black76_greeks(forward, strike, tau, vol, is_call, names=("delta", "vega"))
    fair = np.asarray(black76_price(forward, strike, tau, vol, is_call)) * unit
    vega, delta = np.asarray(greeks["vega"]) * unit, np.asarray(greeks["delta"])
    gross = side * (fair - price) * usd
    # What the quote is off now, and what of that is still there at the horizon.
    remains = np.array([1.0 - known[o.instrument.venue].share(settings.horizon_s) for o in offers])
    off = np.where(np.isfinite(band.deviation[rows]), band.deviation[rows] * vega, price - fair)
    left = np.maximum(-side * off, 0.0) * remains * usd
    way_out = _typical_half_spread(band, rows) * vega * usd
    # The fee on the way out is capped by a share of the fair price then.
    fees = (1.0 + np.maximum(fair / price, 1.0)) * fee * np.where(in_coin, index, 1.0)
    notional = np.abs(delta) * multiplier * index
    hedge = notional * (2e-4 * settings.hedge_bps + settings.funding_8h * settings.horizon_s / 28_800.0)
    slip = np.hypot(vol_error * vega, settings.forward_error * np.abs(delta) * forward * unit) * usd
    return Worth(
        fair_price=fair,
        fair_vol=vol,
        vol_error=vol_error,
        gross=gross,
        edge=gross - left - way_out - fees - hedge,
        error=np.maximum(slip, 1e-12),
        delta=delta,
    )


def _typical_half_spread(band: FairBand, rows: IntArray) -> FloatArray:
    """Median half-spread of the venue and expiry, or the quote's own where that is wider, decimal vol."""
    q = band.quotes
    venue = np.unique(np.array(q.venue), return_inverse=True)[1]
    group = venue.astype(np.int64) * (np.unique(q.expiry_ns).size + 1) + np.searchsorted(
        np.unique(q.expiry_ns), q.expiry_ns
    )
    half = np.where(q.is_two_sided, q.half_spread_iv, np.nan)
    widest = np.nanmax(half) if np.isfinite(half).any() else 0.0
    typical = np.full(int(group.max()) + 1, widest)
    for g in np.unique(group):
        mine = half[group == g]
        if np.isfinite(mine).any():
            typical[g] = np.nanmedian(mine)
    return np.asarray(np.fmax(typical[group[rows]], half[rows]))
