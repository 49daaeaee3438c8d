"""The five made-up venues: how each one quotes, lists, lags and fails."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import InstrumentKind, Settlement, TickLadder
from ivhedge.core.types import FloatArray
from ivhedge.market.contracts import ContractSpec, load_contracts

__all__ = [
    "DEFAULT_VENUES",
    "Outage",
    "OutageMode",
    "VenueProfile",
    "round_to_ticks",
]


class OutageMode(StrEnum):
    """What a venue in trouble shows."""

    FROZEN = "frozen"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A planned outage: snapshots with ``start_ns <= ts < end_ns``."""

    start_ns: int
    end_ns: int
    mode: OutageMode = OutageMode.FROZEN

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise ConfigError(f"expected an outage that ends after {self.start_ns}, found {self.end_ns}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueProfile:
    """Habits of one venue. Vols are decimals (0.0030 = 30 bp of vol), probabilities are per snapshot.

    Parameters
    ----------
    name : str
    settlement : Settlement
        Of its options and futures.
    contracts_of : str or None
        Venue whose contract specifications (`ivhedge.market.contracts`) hold; by default its own.
    level_bias, slope_bias : float
        The venue quotes ``truth + level_bias + slope_bias · z``, with z = ln(K/F) / (atm vol · sqrt(tau))
        limited to ±3.
    half_spread : float
        Half bid-ask spread in vol at the money of a long expiry; times ``1 + wing_widening · z²`` and
        ``1 + short_widening · exp(−tau / 7 days)``, times lognormal noise of `spread_noise`.
    skew_noise : float
        The mid moves by up to this share of the half spread from the venue's own mark; below 1, so that
        fresh quotes always contain the mark.
    strike_coverage, expiry_coverage : float
        Share of strikes and of expiries that the venue lists.
    missing_side_probability : float
        Chance that a side is absent, on top of bids below one tick.
    stale_probability : float
        Share of options whose quote dates from an earlier state.
    stale_age_seconds, stale_age_sigma : float
        Median and log standard deviation of the age of stale quotes, taken to a power of two of path
        steps and limited by the history and by the time of listing.
    latency_ms, latency_sigma : float
        Median and log standard deviation of ``ts_recv − ts_event``, at most one second.
    outlier_probability : float
        Fat fingers: share of options whose fresh quote is off by 5 to 25 vol points, either way.
    outage_probability, outage_mean_snapshots : float
        Chance per snapshot that the venue fails, and how long on average.
    outages : tuple of Outage
        Planned ones, on top.
    size_lots, size_sigma : float
        Median and log standard deviation of quoted option sizes, in lots.
    index_basis, index_basis_std, index_basis_halflife_hours : float
        The venue's index over the common one, as a fraction: mean, standard deviation, memory. The
        stablecoin basis of dollar venues.
    forward_noise : float
        Standard deviation of the error of the published forward, as a fraction.
    futures_half_spread : float
        As a fraction of the price.
    futures_size_usd : float
        Median size displayed on each side of a future or perpetual.
    funding_noise : float
        Standard deviation of the venue's own part of the perpetual premium.
    dated_futures : bool
        Whether month-end and quarter-end futures are listed besides the perpetual.
    """

    name: str
    settlement: Settlement
    contracts_of: str | None = None
    level_bias: float = 0.0
    slope_bias: float = 0.0
    half_spread: float = 0.006
    wing_widening: float = 0.10
    short_widening: float = 0.6
    spread_noise: float = 0.15
    skew_noise: float = 0.5
    strike_coverage: float = 1.0
    expiry_coverage: float = 1.0
    missing_side_probability: float = 0.01
    stale_probability: float = 0.01
    stale_age_seconds: float = 900.0
    stale_age_sigma: float = 1.0
    latency_ms: float = 20.0
    latency_sigma: float = 0.5
    outlier_probability: float = 0.002
    outage_probability: float = 0.0
    outage_mean_snapshots: float = 2.0
    outages: tuple[Outage, ...] = field(default=())
    size_lots: float = 60.0
    size_sigma: float = 1.0
    index_basis: float = 0.0
    index_basis_std: float = 0.0
    index_basis_halflife_hours: float = 24.0
    forward_noise: float = 2.0e-5
    futures_half_spread: float = 1.0e-4
    futures_size_usd: float = 400_000.0
    funding_noise: float = 2.0e-5
    dated_futures: bool = True

    def __post_init__(self) -> None:
        shares = {
            name: getattr(self, name)
            for name in (
                "strike_coverage",
                "expiry_coverage",
                "missing_side_probability",
                "stale_probability",
                "outlier_probability",
                "outage_probability",
            )
        }
        wrong = {name: value for name, value in shares.items() if not 0.0 <= value <= 1.0}
        if wrong:
            raise ConfigError(f"venue {self.name}: expected shares in [0, 1], found {wrong}")
        if not 0.0 <= self.skew_noise < 1.0:
            raise ConfigError(f"venue {self.name}: expected skew_noise in [0, 1), found {self.skew_noise}")
        positive = {
            name: getattr(self, name)
            for name in (
                "half_spread",
                "stale_age_seconds",
                "latency_ms",
                "size_lots",
                "futures_size_usd",
                "index_basis_halflife_hours",
                "outage_mean_snapshots",
            )
        }
        wrong = {name: value for name, value in positive.items() if not value > 0.0}
        if wrong:
            raise ConfigError(f"venue {self.name}: expected positive settings, found {wrong}")

    def spec(self, kind: InstrumentKind, underlying: str) -> ContractSpec:
        """Contract specification of a product of this venue."""
        return load_contracts(self.contracts_of or self.name).spec(kind, underlying)

    def planned_outage(self, ts_ns: int) -> OutageMode | None:
        """Mode of the planned outage at a time, if there is one."""
        for outage in self.outages:
            if outage.start_ns <= ts_ns < outage.end_ns:
                return outage.mode
        return None


def round_to_ticks(prices: FloatArray, ladder: TickLadder, *, up: bool) -> FloatArray:
    """Move prices at or above 0 onto a tick ladder, down for bids and up for asks.

    Parameters
    ----------
    prices : FloatArray
        Not negative; NaN stays NaN.
    ladder : TickLadder
    up : bool

    Returns
    -------
    FloatArray
        The float64 numbers nearest to the exact decimal prices.
    """
    starts = np.array([float(start) for start, _ in ladder.steps])
    ticks = np.array([float(tick) for _, tick in ladder.steps])
    decimals = max(-int(tick.as_tuple().exponent) for _, tick in ladder.steps)
    tick = ticks[np.searchsorted(starts, np.nan_to_num(prices), side="right") - 1]
    count = np.ceil(prices / tick - 1e-9) if up else np.floor(prices / tick + 1e-9)
    return np.asarray(np.round(count * tick, decimals), dtype=np.float64)


DEFAULT_VENUES: tuple[VenueProfile, ...] = (
    VenueProfile(name="aurora", settlement=Settlement.COIN),
    VenueProfile(
        name="borealis",
        settlement=Settlement.COIN,
        level_bias=0.0030,
        slope_bias=0.0010,
        half_spread=0.009,
        strike_coverage=0.85,
        expiry_coverage=0.95,
        missing_side_probability=0.02,
        stale_probability=0.03,
        latency_ms=45.0,
        size_lots=30.0,
        forward_noise=5.0e-5,
        futures_half_spread=2.0e-4,
    ),
    VenueProfile(
        name="cirrus",
        settlement=Settlement.COIN,
        level_bias=-0.0045,
        slope_bias=-0.0020,
        half_spread=0.012,
        strike_coverage=0.70,
        expiry_coverage=0.80,
        missing_side_probability=0.03,
        stale_probability=0.05,
        stale_age_seconds=1800.0,
        latency_ms=80.0,
        outlier_probability=0.005,
        outage_probability=0.01,
        size_lots=20.0,
        forward_noise=8.0e-5,
        futures_half_spread=3.0e-4,
        dated_futures=False,
    ),
    VenueProfile(
        name="dune",
        settlement=Settlement.USD,
        level_bias=0.0060,
        slope_bias=0.0030,
        half_spread=0.016,
        strike_coverage=0.60,
        expiry_coverage=0.75,
        missing_side_probability=0.04,
        stale_probability=0.05,
        stale_age_seconds=1200.0,
        latency_ms=60.0,
        outlier_probability=0.005,
        outage_probability=0.01,
        size_lots=150.0,
        index_basis=2.0e-4,
        index_basis_std=3.0e-4,
        forward_noise=5.0e-5,
        futures_half_spread=1.5e-4,
    ),
    VenueProfile(
        name="ember",
        settlement=Settlement.USD,
        level_bias=0.0100,
        slope_bias=-0.0040,
        half_spread=0.030,
        strike_coverage=0.35,
        expiry_coverage=0.60,
        missing_side_probability=0.06,
        stale_probability=0.10,
        stale_age_seconds=3600.0,
        latency_ms=200.0,
        outlier_probability=0.01,
        outage_probability=0.02,
        size_lots=50.0,
        index_basis=-3.0e-4,
        index_basis_std=4.0e-4,
        forward_noise=1.5e-4,
        futures_half_spread=5.0e-4,
        dated_futures=False,
    ),
)
"""Aurora is the liquid, unbiased anchor; the others are worse, each in its own way."""
