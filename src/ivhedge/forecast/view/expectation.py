"""What holding vega is expected to earn, net of getting in, hedging and getting out.

Per unit of vega V (USD per unit of vol), held over H years and hedged in delta, with implied vol s and tenor
tau (Carr and Madan 1998, with the gamma of an option at the money, Gamma F^2 = V / (s tau)):

    gamma less theta    (v - s^2) H / (2 s tau)             v: variance realised over H
    hedging             c sqrt(v) sqrt(2 / (pi dt)) H / (s tau)   c: cost of a trade as a fraction, every dt
    roll                share of (s(tau - H) - s(tau))
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.forecast.online import OnlineForecaster
from ivhedge.forecast.view.premium import variance_outlook
from ivhedge.surface.base import VolSurface

__all__ = ["HoldingCosts", "VegaExpectation", "vega_expectation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingCosts:
    """What it costs to hold vega.

    Parameters
    ----------
    half_spread_points : float
        Half-spread of an option in vol points, paid on the way in and on the way out, fees included.
    hedge_cost_bps : float
        Of a delta trade: half-spread and fee.
    hedge_every_hours : float
        Time between two delta trades.
    """

    half_spread_points: float = 0.75
    hedge_cost_bps: float = 5.5
    hedge_every_hours: float = 6.0

    def __post_init__(self) -> None:
        if not (self.half_spread_points >= 0.0 and self.hedge_cost_bps >= 0.0):
            raise ConfigError("expected costs at or above 0")
        if not 0.0 < self.hedge_every_hours < np.inf:
            raise ConfigError(f"expected hedge_every_hours above 0, found {self.hedge_every_hours}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VegaExpectation:
    """Vol points earned per unit of vega held long over the holding period, arrays of shape (n,).

    A vega of 1 USD per vol point earns as many USD.

    Parameters
    ----------
    tau : FloatArray
        Years.
    holding : FloatArray
        Years; at most the tenor.
    implied_vol, expected_vol : FloatArray
        At the money, and over the holding period.
    gamma, roll : FloatArray
        Points of a long vega: gamma less theta, and the roll along the curve.
    hedging, spread : FloatArray
        Costs of either side, at or above 0.
    sd : FloatArray
        Standard deviation of the outcome: variance realised, and implied vol.
    """

    tau: FloatArray
    holding: FloatArray
    implied_vol: FloatArray
    expected_vol: FloatArray
    gamma: FloatArray
    roll: FloatArray
    hedging: FloatArray
    spread: FloatArray
    sd: FloatArray

    @property
    def gross(self) -> FloatArray:
        """Of a long vega before costs; a short one earns the opposite."""
        return self.gamma + self.roll

    @property
    def cost(self) -> FloatArray:
        """Of either side."""
        return self.hedging + self.spread

    @property
    def side(self) -> FloatArray:
        """+1 where long vega pays after costs, -1 where short does, 0 where neither."""
        return np.asarray(np.sign(self.gross) * (np.abs(self.gross) > self.cost))

    @property
    def net(self) -> FloatArray:
        """Of the better side after costs; negative where neither pays."""
        return np.asarray(np.abs(self.gross) - self.cost)


def vega_expectation(
    surface: VolSurface,
    state: OnlineForecaster,
    tau: ArrayLike,
    *,
    costs: HoldingCosts,
    holding_days: float = 7.0,
    vol_of_vol_30d: float = 0.04,
    vol_of_vol_decay: float = 0.55,
    roll_share: float = 0.0,
    variance_scale: float = 1.0,
) -> VegaExpectation:
    """Expected earnings of vega at the money by tenor.

    Parameters
    ----------
    surface : VolSurface
    state : OnlineForecaster
    tau : array_like, shape (n,)
        Years from the surface's time.
    costs : HoldingCosts
    holding_days : float
        How long vega is held; at most to expiry.
    vol_of_vol_30d, vol_of_vol_decay : float
        Daily relative standard deviation of the 30-day vol, and its power law in the tenor.
    roll_share : float
        Share of the roll that is believed; 0 = the vol of an option stays.
    variance_scale : float
        Factor on the expected variance, for instance while a spike lasts.

    Raises
    ------
    ConfigError
        If a setting is out of range, or a tenor beyond the forecaster's longest horizon.
    DataError
        As `variance_outlook`.
    """
    if not (0.0 < holding_days < np.inf and vol_of_vol_30d >= 0.0 and variance_scale > 0.0):
        raise ConfigError("expected holding_days and variance_scale above 0, vol_of_vol_30d at or above 0")
    years = np.atleast_1d(np.asarray(tau, dtype=np.float64))
    held = np.minimum(holding_days / DAYS_PER_YEAR, years)
    outlook = variance_outlook(state, surface.ts_ns, held)
    implied = np.asarray(surface.implied_vol(0.0, years), dtype=np.float64)
    variance = outlook.variance * variance_scale
    per_variance = held / (2.0 * implied * years)
    interval = costs.hedge_every_hours / (24.0 * DAYS_PER_YEAR)
    turnover = np.sqrt(2.0 * variance / (np.pi * interval)) * held / (implied * years)
    left = np.maximum(years - held, 1e-9)
    rolled = np.where(left > 1.0 / DAYS_PER_YEAR, surface.implied_vol(0.0, left), implied) - implied
    move = vol_of_vol_30d * (30.0 / (years * DAYS_PER_YEAR)) ** vol_of_vol_decay
    # At expiry no implied vol is left to move: the vega that is left falls with the time.
    vega_left = np.sqrt(np.maximum(1.0 - 0.5 * held / years, 0.0))
    implied_sd = implied * move * np.sqrt(held * DAYS_PER_YEAR) * vega_left
    realised_sd = per_variance * outlook.variance_sd * variance_scale
    exits = np.where(held < years, 2.0, 1.0)
    return VegaExpectation(
        tau=years,
        holding=held,
        implied_vol=implied,
        expected_vol=np.sqrt(variance),
        gamma=per_variance * (variance - implied**2) / VOL_POINT,
        roll=roll_share * rolled / VOL_POINT,
        hedging=1e-4 * costs.hedge_cost_bps * turnover / VOL_POINT,
        spread=exits * costs.half_spread_points,
        sd=np.hypot(realised_sd, implied_sd) / VOL_POINT,
    )
