"""Quotes made from a known Heston or Bates surface, with the faults of real ones.

Each quote is the true vol plus a shift of its mid, a half-spread that widens in the wings, and prices rounded
outwards to the venue's tick. A bid below one tick is no bid. Some quotes may be wrong by 5 to 25 vol points.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.pricing import IvStatus, black76_price, implied_vol
from ivhedge.surface.models.bates import BatesModel
from ivhedge.surface.models.heston import HestonModel
from ivhedge.surface.models.quotes import VolQuotes

__all__ = ["TRUE_BATES", "TRUE_DAYS", "TRUE_HESTON", "TruthQuotes", "TruthSettings", "truth_quotes"]

TRUE_HESTON = HestonModel(v0=0.30, kappa=3.0, theta=0.36, xi=1.6, rho=-0.25)
TRUE_BATES = BatesModel(
    v0=0.30, kappa=3.0, theta=0.36, xi=1.6, rho=-0.25, jump_rate=6.0, jump_mean=-0.03, jump_sd=0.09
)
TRUE_DAYS = (1.0, 2.0, 3.0, 7.0, 14.0, 21.0, 30.0, 60.0, 90.0, 180.0, 270.0, 365.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSettings:
    """What the quotes look like.

    Parameters
    ----------
    days : tuple of float
        Expiries, days, strictly ascending.
    n_strikes : int
        Strikes per expiry, evenly spread over ±`width_sd` standard deviations of the expected variance.
    width_sd : float
    half_spread : float
        At the money, decimal vol.
    wing_widening : float
        The half-spread grows by this share per standard deviation from the money.
    tick : float
        Price grid in coin; 0 for none.
    mid_noise : float
        Mids are shifted by up to this share of the half-spread, evenly distributed.
    bad_share : float
        Share of quotes moved by ±`bad_size` (smallest and largest, decimal vol).
    bad_size : tuple of float
    """

    days: tuple[float, ...] = TRUE_DAYS
    n_strikes: int = 60
    width_sd: float = 3.2
    half_spread: float = 0.006
    wing_widening: float = 0.5
    tick: float = 0.0001
    mid_noise: float = 0.5
    bad_share: float = 0.0
    bad_size: tuple[float, float] = (0.05, 0.25)

    def __post_init__(self) -> None:
        days = np.array(self.days, dtype=np.float64)
        if days.size == 0 or not (np.isfinite(days) & (days > 0.0)).all() or (np.diff(days) <= 0.0).any():
            raise ConfigError(f"expected positive ascending days, found {self.days}")
        if self.n_strikes < 2 or not self.width_sd > 0.0:
            raise ConfigError(
                f"expected n_strikes >= 2 and width_sd > 0, found {self.n_strikes}, {self.width_sd}"
            )
        if not self.half_spread > 0.0 or min(self.wing_widening, self.tick, self.mid_noise) < 0.0:
            raise ConfigError("expected half_spread > 0 and wing_widening, tick, mid_noise >= 0")
        if not 0.0 <= self.bad_share <= 1.0 or not 0.0 < self.bad_size[0] <= self.bad_size[1]:
            raise ConfigError(
                f"expected 0 <= bad_share <= 1 and 0 < bad_size[0] <= bad_size[1], found {self.bad_share}, "
                f"{self.bad_size}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthQuotes:
    """Quotes of all strikes with their truth; arrays have shape (q,), q = expiries times strikes.

    Parameters
    ----------
    model : HestonModel or BatesModel
    log_moneyness, tau : FloatArray
    true_vol : FloatArray
        Decimal; never NaN.
    bid_vol, ask_vol, mid_vol : FloatArray
        After ticks; NaN where there is no such side, or no such vol.
    bid_coin, ask_coin : FloatArray
        Out-of-the-money prices in coin, on the tick grid; a missing bid is 0.
    bad : BoolArray
        Moved by an outlier.
    two_sided : BoolArray
        Bid of at least one tick, and both vols exist.
    """

    model: HestonModel | BatesModel
    log_moneyness: FloatArray
    tau: FloatArray
    true_vol: FloatArray
    bid_vol: FloatArray
    ask_vol: FloatArray
    mid_vol: FloatArray
    bid_coin: FloatArray
    ask_coin: FloatArray
    bad: BoolArray
    two_sided: BoolArray

    @property
    def quotes(self) -> VolQuotes:
        """The two-sided quotes, as the fits take them.

        Raises
        ------
        DataError
            If there is none.
        """
        keep = self.two_sided
        if not keep.any():
            raise DataError("expected two-sided quotes, found none: the tick is too large for these expiries")
        taus, counts = np.unique(self.tau[keep], return_counts=True)
        offsets: IntArray = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return VolQuotes(
            log_moneyness=self.log_moneyness[keep],
            bid_vol=self.bid_vol[keep],
            ask_vol=self.ask_vol[keep],
            mid_vol=self.mid_vol[keep],
            offsets=offsets,
            taus=taus,
        )

    def rmse_vol_points(self, vol: FloatArray) -> float:
        """Error against the truth at the two-sided quotes, vol points; `vol` in the order of `quotes`."""
        return 100.0 * float(np.sqrt(np.mean((vol - self.true_vol[self.two_sided]) ** 2)))


def truth_quotes(
    rng: np.random.Generator,
    model: HestonModel | BatesModel = TRUE_BATES,
    settings: TruthSettings | None = None,
) -> TruthQuotes:
    """Make quotes from a known model.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of randomness.
    model : HestonModel or BatesModel
    settings : TruthSettings, optional

    Returns
    -------
    TruthQuotes

    Raises
    ------
    DataError
        If a strike lies beyond the reach of the model's prices: reduce `width_sd`.

    Examples
    --------
    >>> truth = truth_quotes(np.random.default_rng(7), settings=TruthSettings(days=(30.0,), n_strikes=5))
    >>> truth.true_vol.shape, bool(truth.bad.any())
    ((5,), False)
    """
    settings = settings or TruthSettings()
    taus = np.array(settings.days) / DAYS_PER_YEAR
    distance = np.linspace(-settings.width_sd, settings.width_sd, settings.n_strikes)
    sd = np.sqrt([model.expected_variance(float(tau)) for tau in taus])
    k, tau = (sd[:, None] * distance).ravel(), np.repeat(taus, settings.n_strikes)
    true_vol = model.implied_vol(k, tau)
    half = settings.half_spread * (1.0 + settings.wing_widening * np.abs(np.tile(distance, taus.size)))
    shift = settings.mid_noise * half * rng.uniform(-1.0, 1.0, k.size)
    bad = rng.random(k.size) < settings.bad_share
    jump = rng.uniform(*settings.bad_size, k.size) * rng.choice([-1.0, 1.0], k.size)
    centre = true_vol + shift + np.where(bad, jump, 0.0)
    low, high = np.maximum(centre - half, 0.01), np.maximum(centre + half, 0.02)
    bid, ask = (_coin_price(k, tau, vol) for vol in (low, high))
    if settings.tick > 0.0:
        # Outwards: a market maker's quote rounded inwards would claim more than it says.
        bid = np.floor(bid / settings.tick + 1e-9) * settings.tick
        ask = np.maximum(np.ceil(ask / settings.tick - 1e-9), 1.0) * settings.tick
    bid_vol, ask_vol, mid_vol = (_vol(price, k, tau) for price in (bid, ask, 0.5 * (bid + ask)))
    bid_vol[bid < settings.tick] = np.nan
    return TruthQuotes(
        model=model,
        log_moneyness=k,
        tau=tau,
        true_vol=true_vol,
        bid_vol=bid_vol,
        ask_vol=ask_vol,
        mid_vol=mid_vol,
        bid_coin=bid,
        ask_coin=ask,
        bad=bad,
        two_sided=np.isfinite(bid_vol) & np.isfinite(ask_vol) & np.isfinite(mid_vol),
    )


def _coin_price(k: FloatArray, tau: FloatArray, vol: FloatArray) -> FloatArray:
    # An inverse option's premium in coin is the price over the forward.
    return black76_price(1.0, np.exp(k), tau, vol, k >= 0.0)


def _vol(price: FloatArray, k: FloatArray, tau: FloatArray) -> FloatArray:
    vol, status = implied_vol(price, 1.0, np.exp(k), tau, k >= 0.0, return_status=True)
    return np.where(status == IvStatus.OK, vol, np.nan)
