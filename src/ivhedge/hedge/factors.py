"""Risk factors of a hedge: what is exposed to what, and how much these move in a day.

The factors are delta, gamma and vega per tenor bucket. Their covariance turns an exposure vector into the
standard deviation of one horizon's profit in USD.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf, isfinite, sqrt

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.hedge.limits import Band, HedgeLimits, Numeraire, TenorBand
from ivhedge.hedge.ratios import HedgeRatio, ratio_legs
from ivhedge.risk.exposure import leg_exposures
from ivhedge.risk.legs import MAX_AGE_NS, Legs, check_legs, price_legs
from ivhedge.surface.base import VolSurface

__all__ = ["Factors", "RiskModel", "bucket_name", "build_factors", "factor_loadings", "leg_loadings"]

_DEFAULT_EDGES = (0.0, 7.0, 30.0, 90.0)
_OPEN = Band(-inf, inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskModel:
    """How spot and implied vol move, and how much risk is worth.

    Parameters
    ----------
    aversion : float or None
        Weight of ½·variance against cost, per USD. None = ``risk_price`` divided by the standard deviation
        that the plan leaves: the risk term then is ``risk_price`` times the standard deviation.
    risk_price : float
        USD paid at most to remove one USD of standard deviation; used when `aversion` is None. Per day, 0.1
        asks of risk what a yearly Sharpe ratio of about 2 pays for it; at 1 a replay trades itself poor.
    horizon_days : float
        Span whose profit is judged.
    spot_vol_days : float
        Tenor of the at-the-money vol that stands for spot's.
    vol_of_vol_30d : float
        Standard deviation of a day's relative change of the 30-day at-the-money vol.
    vol_of_vol_decay : float
        It scales with ``(30 / days)**decay``.
    tenor_decay : float
        Correlation of vol moves of two tenors: ``(longer / shorter)**-tenor_decay``.
    spot_vol_correlation : float
        0 leaves the delta at the surface's own. Other values shift it by the vega.
    band_penalty : float
        How many times the cheapest way back a band violation costs.

    Notes
    -----
    The vol figures are those of BTC and ETH at-the-money marks of January to May 2026 (daily moves of 3-,
    14-, 40- and 120-day vol). The spot-vol correlation changes sign over months, hence 0.
    """

    aversion: float | None = None
    risk_price: float = 0.1
    horizon_days: float = 1.0
    spot_vol_days: float = 7.0
    vol_of_vol_30d: float = 0.04
    vol_of_vol_decay: float = 0.55
    tenor_decay: float = 0.11
    spot_vol_correlation: float = 0.0
    band_penalty: float = 100.0

    def __post_init__(self) -> None:
        positive = ("horizon_days", "spot_vol_days", "vol_of_vol_30d", "band_penalty")
        for name in positive:
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise ConfigError(f"expected {name} above 0, found {getattr(self, name)}")
        for name in ("risk_price", "vol_of_vol_decay", "tenor_decay"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise ConfigError(f"expected {name} at or above 0, found {getattr(self, name)}")
        if self.aversion is not None and not (isfinite(self.aversion) and self.aversion >= 0.0):
            raise ConfigError(f"expected aversion at or above 0 or None, found {self.aversion}")
        if not -1.0 < self.spot_vol_correlation < 1.0:
            raise ConfigError(f"expected spot_vol_correlation in (-1, 1), found {self.spot_vol_correlation}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The k factors of one underlying: bands and covariance.

    Parameters
    ----------
    names, units : tuple of str, length k
        ``delta``, ``gamma_1pct``, then one ``vega_<min>_<max>d`` per bucket.
    buckets : tuple of (min_days, max_days)
    target, lower, upper : FloatArray, shape (k,)
    covariance : FloatArray, shape (k, k)
        USD² per unit of exposure², over the horizon.
    numeraire : Numeraire
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    buckets: tuple[tuple[float, float], ...]
    target: FloatArray
    lower: FloatArray
    upper: FloatArray
    covariance: FloatArray
    numeraire: Numeraire


def bucket_name(min_days: float, max_days: float) -> str:
    """Factor name of a tenor bucket, for instance ``vega_7_30d``."""
    return f"vega_{min_days:g}_{max_days:g}d"


def build_factors(limits: HedgeLimits, model: RiskModel, surface: VolSurface, index: float) -> Factors:
    """Set up the factors of one underlying.

    Parameters
    ----------
    limits : HedgeLimits
        Its tenor bands become buckets; the tenors between them get buckets without a band.
    model : RiskModel
    surface : VolSurface
        Gives at-the-money vols.
    index : float
        USD.

    Raises
    ------
    DataError
        If the surface has no at-the-money vol.
    """
    bands = _cover_all_tenors(limits.vega)
    coin = limits.numeraire is Numeraire.COIN
    tenors = np.array([_middle(band.min_days, band.max_days) for band in bands])
    vols = np.asarray(surface.implied_vol(0.0, np.append(tenors, model.spot_vol_days) / DAYS_PER_YEAR))
    if not (np.isfinite(vols).all() and (vols > 0.0).all()):
        raise DataError(
            f"{surface.underlying}: expected at-the-money vols of the surface, found {vols.tolist()}"
        )
    days = model.horizon_days
    spot_sd = float(vols[-1]) * sqrt(days / DAYS_PER_YEAR)
    vol_sd = vols[:-1] * model.vol_of_vol_30d * (30.0 / tenors) ** model.vol_of_vol_decay * sqrt(days)
    # In log-spot u a value moves by delta·u + 50·gamma_1pct·u², times the index in USD; var(u²) = 2·sd⁴.
    scale = np.concatenate(
        (
            [index * spot_sd, 50.0 * index * sqrt(2.0) * spot_sd**2],
            vol_sd / VOL_POINT * (index if coin else 1.0),
        )
    )
    ordered = [limits.delta or _OPEN, limits.gamma_1pct or _OPEN, *(band.band for band in bands)]
    return Factors(
        names=("delta", "gamma_1pct", *(bucket_name(b.min_days, b.max_days) for b in bands)),
        units=(
            "coin",
            "coin per 1 %",
            *("coin per vol point" if coin else "USD per vol point" for _ in bands),
        ),
        buckets=tuple((band.min_days, band.max_days) for band in bands),
        target=np.array([band.target for band in ordered]),
        lower=np.array([band.lower for band in ordered]),
        upper=np.array([band.upper for band in ordered]),
        covariance=scale[:, None] * _correlation(tenors, model) * scale,
        numeraire=limits.numeraire,
    )


def factor_loadings(
    positions: Sequence[tuple[Instrument, Decimal]],
    surfaces: Mapping[str, VolSurface],
    factors: Factors,
    ts_ns: int,
    *,
    ratio: HedgeRatio | None = None,
    max_age_ns: int | None = MAX_AGE_NS,
) -> FloatArray:
    """Exposure of each position to each factor, shape (k, n); 0 for expired legs.

    Raises
    ------
    UnknownInstrument, DataError
        If a leg has no price on the surface.
    """
    legs = price_legs(positions, surfaces, ts_ns, max_age_ns=max_age_ns)
    check_legs(legs, ts_ns)
    return leg_loadings(legs, factors, surfaces, ratio)


def leg_loadings(
    legs: Legs,
    factors: Factors,
    surfaces: Mapping[str, VolSurface] | None = None,
    ratio: HedgeRatio | None = None,
) -> FloatArray:
    """The same for legs that are priced already, shape (k, n); a ratio needs the surfaces."""
    values = leg_exposures(legs)
    unit = factors.numeraire.value
    delta = values[f"delta_{unit}"]
    if ratio is not None:
        delta = delta + _ratio_adjustment(legs, surfaces or {}, ratio)
    vega = values[f"vega_{unit}_per_vol_point"]
    days = legs.tau * DAYS_PER_YEAR
    rows = [delta, values[f"gamma_1pct_{unit}"]]
    for low, high in factors.buckets:
        rows.append(np.where((days >= low) & (days < high), vega, 0.0))
    return np.where(legs.priced, np.array(rows).reshape(len(rows), -1), 0.0)


def _ratio_adjustment(legs: Legs, surfaces: Mapping[str, VolSurface], ratio: HedgeRatio) -> FloatArray:
    """What a ratio adds to the Black-Scholes delta of each leg; the same in USD and in coin."""
    added = np.zeros(len(legs.instruments))
    options = legs.is_option & legs.priced
    names = np.array([item.underlying for item in legs.instruments])
    for name in sorted(set(names[options].tolist())):
        at = np.flatnonzero(options & (names == name))
        seen = ratio_legs(surfaces[name], legs.strike[at], legs.tau[at], legs.is_call[at])
        added[at] = legs.size[at] * legs.coin_scale[at] * ratio.delta(seen).adjustment
    return added


def _cover_all_tenors(bands: Sequence[TenorBand]) -> list[TenorBand]:
    # Vega outside the limits' ranges still is risk: it gets buckets of its own, cut at the usual tenors.
    edges = sorted({*_DEFAULT_EDGES, *(b.min_days for b in bands), *(b.max_days for b in bands), inf})
    covered: list[TenorBand] = list(bands)
    for low, high in itertools.pairwise(edges):
        if not any(band.min_days <= low and high <= band.max_days for band in bands):
            covered.append(TenorBand(low, high, _OPEN))
    return sorted(covered, key=lambda band: band.min_days)


def _middle(min_days: float, max_days: float) -> float:
    low = max(min_days, 1.0)
    return sqrt(low * min(max(max_days, low), 4.0 * low))


def _correlation(tenors: FloatArray, model: RiskModel) -> FloatArray:
    rho, count = model.spot_vol_correlation, tenors.size
    kernel = np.exp(-model.tenor_decay * np.abs(np.log(tenors[:, None] / tenors)))
    matrix = np.eye(2 + count)
    # Each vol move is rho times spot's plus an own part, which keeps the matrix positive semidefinite.
    matrix[2:, 2:] = rho**2 + (1.0 - rho**2) * kernel
    matrix[0, 2:] = matrix[2:, 0] = rho
    return matrix
