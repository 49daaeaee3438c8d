"""From vegas and a proxy model to the proxy vega worth holding, bucket by bucket.

The hedge minimises, per day, ``price · sd(v, h) + cost · |h|``: the priced standard deviation of the book
with proxy vega h, and the round trip's cost spread over the days that it is held. Buckets that the model does
not trust count with all of their own variance and lend no covariance to the hedge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import sqrt

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.limits import Band, Numeraire, TenorBand
from ivhedge.hedge.proxies.estimate import ProxyModel, VegaBucket

__all__ = ["ProxyCosts", "ProxyDecision", "ProxyHedge", "ProxyVerdict", "proxy_bands", "proxy_hedge"]

_SWEEPS = 200
_WHOLE = 0.9
"""Share of the costless hedge from which it counts as whole."""


class ProxyVerdict(StrEnum):
    """What happens to the vega of a bucket."""

    HEDGE = "hedge"
    PARTIAL = "partial"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCosts:
    """What proxy vega costs and how long it is held.

    Parameters
    ----------
    round_trip_points : float or mapping of VegaBucket to float
        In and out, spread and fees, in vol points of the proxy: USD per USD of vega. The default is that of
        recorded BTC options of a month at the money; three months take 0.9, ETH 1.7 and 1.2.
    holding_days : float
    risk_price : float
        USD paid at most to remove one USD of a day's standard deviation, as in `RiskModel`.
    """

    round_trip_points: float | Mapping[VegaBucket, float] = 1.5
    holding_days: float = 20.0
    risk_price: float = 0.1

    def __post_init__(self) -> None:
        given = self.round_trip_points
        costs = list(given.values()) if isinstance(given, Mapping) else [given]
        if not all(0.0 <= cost < float("inf") for cost in costs):
            raise ConfigError(f"expected costs of at least 0 vol points, found {costs}")
        if not (0.0 < self.holding_days < float("inf") and 0.0 <= self.risk_price < float("inf")):
            raise ConfigError(
                f"expected holding_days above 0 and a risk_price of at least 0, found {self.holding_days}, "
                f"{self.risk_price}"
            )

    def of(self, bucket: VegaBucket) -> float:
        """Round trip of one proxy.

        Raises
        ------
        ConfigError
            If it has none: an unknown cost is not no cost.
        """
        if not isinstance(self.round_trip_points, Mapping):
            return self.round_trip_points
        if bucket not in self.round_trip_points:
            raise ConfigError(f"expected a round trip cost of {bucket}, found none; add it")
        return self.round_trip_points[bucket]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyDecision:
    """What happens to one bucket.

    Parameters
    ----------
    bucket : VegaBucket
    vega_usd : float
        USD per vol point.
    verdict : ProxyVerdict
    reason : str
    sd_before_usd, sd_after_usd : float
        A day's standard deviation of the bucket alone, and with its own share of the hedge.
    """

    bucket: VegaBucket
    vega_usd: float
    verdict: ProxyVerdict
    reason: str
    sd_before_usd: float
    sd_after_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHedge:
    """Proxy vega to hold against a book.

    Parameters
    ----------
    vega_usd : mapping of VegaBucket to float
        USD per vol point of each proxy; zero where nothing is worth doing.
    share : float
        Of the hedge that one would hold if it cost nothing.
    decisions : tuple of ProxyDecision
        One per bucket of the book.
    sd_before_usd, sd_after_usd : float
        A day's standard deviation of all buckets, without and with the hedge.
    cost_usd : float
        Of the round trip.
    """

    vega_usd: Mapping[VegaBucket, float]
    share: float
    decisions: tuple[ProxyDecision, ...]
    sd_before_usd: float
    sd_after_usd: float
    cost_usd: float


def proxy_hedge(
    model: ProxyModel, vega_usd: Mapping[VegaBucket, float], *, costs: ProxyCosts | None = None
) -> ProxyHedge:
    """Decide how much proxy vega to hold against a book's vega.

    Parameters
    ----------
    model : ProxyModel
    vega_usd : mapping of VegaBucket to float
        Of the book, USD per vol point; every bucket a target of the model.
    costs : ProxyCosts, optional

    Raises
    ------
    ConfigError
        If a bucket is not a target of the model.
    DataError
        If a vega is not finite.
    """
    paid = costs or ProxyCosts()
    unknown = [str(bucket) for bucket in vega_usd if bucket not in model.targets]
    if unknown:
        known = [str(bucket) for bucket in model.targets]
        raise ConfigError(f"expected buckets of {known}, found {unknown}; fit the model with them as targets")
    book = np.array([vega_usd.get(bucket, 0.0) for bucket in model.targets], dtype=np.float64)
    if not np.isfinite(book).all():
        raise DataError(f"expected finite vegas, found {book.tolist()}")
    prices = np.array([paid.of(bucket) for bucket in model.proxies]) / paid.holding_days
    hedged = np.where(model.trusted, book, 0.0)
    spread = model.proxy_covariance
    pull = spread @ (model.weights.T @ hedged)
    own = _variance(model, book)
    free = -model.weights.T @ hedged
    held = _held(own, pull, spread, free, prices, paid.risk_price)
    size = float(np.abs(free) @ np.sqrt(np.diag(spread)))
    share = float(np.abs(held) @ np.sqrt(np.diag(spread))) / size if size > 0.0 else 0.0
    return ProxyHedge(
        vega_usd=dict(zip(model.proxies, held.tolist(), strict=True)),
        share=share,
        decisions=tuple(_decisions(model, vega_usd, share)),
        sd_before_usd=sqrt(own),
        sd_after_usd=sqrt(max(own + float(2.0 * pull @ held + held @ spread @ held), 0.0)),
        cost_usd=float(prices @ np.abs(held)) * paid.holding_days,
    )


def proxy_bands(
    hedge: ProxyHedge,
    underlying: str,
    *,
    edges_days: tuple[float, ...] = (0.0, 14.0, 45.0, 75.0, 120.0, 1000.0),
    half_width_usd: float,
    numeraire: Numeraire = Numeraire.COIN,
    index: float | None = None,
) -> tuple[TenorBand, ...]:
    """Vega bands of the proxies' underlying, for `HedgeLimits.vega` of its plan.

    Parameters
    ----------
    hedge : ProxyHedge
    underlying : str
        The proxies'.
    edges_days : tuple of float
        Ascending; each proxy's tenor falls between two of them.
    half_width_usd : float
        How far vega may be from its target, USD per vol point.
    numeraire : Numeraire
    index : float, optional
        USD per coin; needed for the coin numeraire.

    Raises
    ------
    ConfigError
        If no proxy is of the underlying, one is outside the edges, the width is negative or the index is
        missing.
    """
    mine = {bucket: vega for bucket, vega in hedge.vega_usd.items() if bucket.underlying == underlying}
    if not mine:
        raise ConfigError(f"expected a proxy of {underlying}, found {[str(b) for b in hedge.vega_usd]}")
    if not half_width_usd >= 0.0 or any(low >= high for low, high in pairwise(edges_days)):
        raise ConfigError(
            f"expected half_width_usd at or above 0 and ascending edges, found {half_width_usd}, {edges_days}"
        )
    unit = 1.0
    if Numeraire(numeraire) is Numeraire.COIN:
        if index is None or not 0.0 < index < float("inf"):
            raise ConfigError(f"expected the index in USD for bands in coin, found {index}")
        unit = 1.0 / index
    for bucket in mine:
        if not edges_days[0] <= bucket.tenor_days < edges_days[-1]:
            raise ConfigError(
                f"expected {bucket} between {edges_days[0]:g} and {edges_days[-1]:g} days; move an edge"
            )
    bands = []
    for low, high in pairwise(edges_days):
        target = sum((vega for bucket, vega in mine.items() if low <= bucket.tenor_days < high), 0.0)
        bands.append(TenorBand(low, high, Band.around(half_width_usd * unit, target * unit)))
    return tuple(bands)


def _variance(model: ProxyModel, book: FloatArray) -> float:
    """Variance of a day without a hedge: what proxies explain, and what they miss."""
    explained = model.weights @ model.proxy_covariance @ model.weights.T
    return float(book @ (explained + model.residual_covariance) @ book)


def _held(
    own: float, pull: FloatArray, spread: FloatArray, free: FloatArray, prices: FloatArray, risk_price: float
) -> FloatArray:
    """Minimise priced deviation plus cost: coordinate descent at the weight of variance it implies."""
    held = free.copy()
    if risk_price == 0.0 or not free.any():
        return np.zeros_like(free)
    for _ in range(_SWEEPS):
        before = held.copy()
        variance = own + 2.0 * pull @ held + held @ spread @ held
        weight = risk_price / sqrt(max(float(variance), 1e-18 * own, 1e-300))
        for k in range(held.size):
            rest = pull[k] + spread[k] @ held - spread[k, k] * held[k]
            best = max(abs(rest) - prices[k] / weight, 0.0) / spread[k, k]
            held[k] = -np.sign(rest) * best
        if np.allclose(held, before, rtol=1e-10, atol=1e-12 * np.abs(free).max()):
            break
    return held


def _decisions(model: ProxyModel, vega_usd: Mapping[VegaBucket, float], share: float) -> list[ProxyDecision]:
    found = []
    explained = model.weights @ model.proxy_covariance @ model.weights.T
    for bucket, vega in vega_usd.items():
        at = model.targets.index(bucket)
        missed = float(model.residual_covariance[at, at])
        whole = float(explained[at, at]) + missed
        used = share if model.trusted[at] else 0.0
        if not model.trusted[at]:
            verdict, reason = ProxyVerdict.REFUSE, model.reason[at]
        elif share <= 0.0:
            verdict, reason = ProxyVerdict.REFUSE, "costs more than the risk it removes is worth"
        elif share < _WHOLE:
            verdict, reason = ProxyVerdict.PARTIAL, f"{share:.0%} of the hedge is worth its cost"
        else:
            verdict, reason = ProxyVerdict.HEDGE, f"R² {model.r2[at]:.2f}, at least {model.r2_lower[at]:.2f}"
        left = (1.0 - used) ** 2 * float(explained[at, at]) + missed
        found.append(
            ProxyDecision(
                bucket=bucket,
                vega_usd=float(vega),
                verdict=verdict,
                reason=reason,
                sd_before_usd=abs(vega) * sqrt(whole),
                sd_after_usd=abs(vega) * sqrt(left),
            )
        )
    return found
