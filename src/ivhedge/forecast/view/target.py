"""From an expectation to a vega target per range of tenors.

Fractional Kelly: vega = fraction x capital x net / sd^2, for the side that pays after costs (Thorp 2006), and
nothing where the net earnings are small against their own risk.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.forecast.view.expectation import VegaExpectation

__all__ = ["VegaTarget", "ViewRules", "VolView", "vega_targets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRules:
    """How a view becomes a position.

    Parameters
    ----------
    capital_usd : float
        What the view may risk.
    fraction : float
        Of the Kelly bet.
    least_ratio : float
        Smallest net earnings over their standard deviation, per holding period.
    max_vega_usd : float
        Largest target of one range of tenors, USD per vol point.
    short_share : float
        What a short target is of a long one of the same merit: a short vega can lose more than it earns.
    ranges_days : tuple of pairs
        Ranges of tenors; a target speaks for the middle (geometric mean) of its range.
    """

    capital_usd: float
    max_vega_usd: float
    fraction: float = 0.25
    least_ratio: float = 0.1
    short_share: float = 0.5
    ranges_days: tuple[tuple[float, float], ...] = ((7.0, 21.0), (21.0, 60.0), (60.0, 120.0))

    def __post_init__(self) -> None:
        if not (0.0 <= self.capital_usd < np.inf and 0.0 <= self.max_vega_usd < np.inf):
            raise ConfigError("expected finite capital_usd and max_vega_usd at or above 0")
        if not (0.0 < self.fraction <= 1.0 and 0.0 <= self.short_share <= 1.0 and self.least_ratio >= 0.0):
            raise ConfigError(
                "expected 0 < fraction <= 1, 0 <= short_share <= 1 and least_ratio >= 0, found "
                f"{self.fraction}, {self.short_share}, {self.least_ratio}"
            )
        edge = 0.0
        for low, high in self.ranges_days:
            if not edge <= low < high:
                raise ConfigError(f"expected ranges of days in order, apart, found {self.ranges_days}")
            edge = high
        if not self.ranges_days or self.ranges_days[0][0] <= 0.0:
            raise ConfigError("expected at least one range of days, above 0")

    @property
    def tenors(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Middle of each range, years."""
        return np.array([np.sqrt(low * high) for low, high in self.ranges_days]) / DAYS_PER_YEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class VegaTarget:
    """Vega wanted in one range of tenors.

    Parameters
    ----------
    min_days, max_days : float
    vega_usd : float
        USD per vol point; positive = long.
    net_points, sd_points : float
        What is expected of the better side after costs, per unit of vega, and its standard deviation.
    reason : str
    """

    min_days: float
    max_days: float
    vega_usd: float
    net_points: float
    sd_points: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolView:
    """Vega targets of one underlying at one time.

    Parameters
    ----------
    ts_ns : int
    underlying : str
    targets : tuple of VegaTarget
    expectation : VegaExpectation
        Behind them, one tenor per target.
    """

    ts_ns: int
    underlying: str
    targets: tuple[VegaTarget, ...]
    expectation: VegaExpectation

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        seen = self.expectation
        return {
            "ts_ns": self.ts_ns,
            "underlying": self.underlying,
            "targets": [
                {
                    "min_days": target.min_days,
                    "max_days": target.max_days,
                    "vega_usd_per_vol_point": target.vega_usd,
                    "net_points": target.net_points,
                    "sd_points": target.sd_points,
                    "implied_vol": float(seen.implied_vol[k]),
                    "expected_vol": float(seen.expected_vol[k]),
                    "gross_points": float(seen.gross[k]),
                    "cost_points": float(seen.cost[k]),
                    "reason": target.reason,
                }
                for k, target in enumerate(self.targets)
            ],
        }


def vega_targets(
    expectation: VegaExpectation,
    rules: ViewRules,
    *,
    ts_ns: int,
    underlying: str,
    may_sell: bool = True,
) -> VolView:
    """Turn an expectation at the middles of the ranges into targets.

    Parameters
    ----------
    expectation : VegaExpectation
        At `rules.tenors`.
    rules : ViewRules
    ts_ns : int
    underlying : str
    may_sell : bool
        False where nothing may be short, for instance while a spike lasts.

    Raises
    ------
    ConfigError
        If the expectation is not at the tenors of the rules.
    """
    if expectation.tau.shape != rules.tenors.shape or not np.allclose(expectation.tau, rules.tenors):
        raise ConfigError(
            f"expected an expectation at tenors {rules.tenors.tolist()} years, found "
            f"{expectation.tau.tolist()}"
        )
    targets = tuple(
        _target(expectation, k, low, high, rules, may_sell) for k, (low, high) in enumerate(rules.ranges_days)
    )
    return VolView(ts_ns=ts_ns, underlying=underlying, targets=targets, expectation=expectation)


def _target(
    seen: VegaExpectation, k: int, low: float, high: float, rules: ViewRules, may_sell: bool
) -> VegaTarget:
    gross, net, sd, cost = (float(x[k]) for x in (seen.gross, seen.net, seen.sd, seen.cost))
    side = 1.0 if gross > 0.0 else -1.0
    size = rules.fraction * rules.capital_usd * max(net, 0.0) / sd**2 if sd > 0.0 else 0.0
    held, word = f"{365.0 * float(seen.holding[k]):.3g} days", "long" if side > 0.0 else "short"
    if not all(map(np.isfinite, (gross, net, sd))):
        vega, reason = 0.0, "nothing: the expectation is no number"
    elif net <= 0.0:
        vega, reason = 0.0, f"nothing: {gross:+.2f} points over {held} do not cover a cost of {cost:.2f}"
    elif net < rules.least_ratio * sd:
        vega = 0.0
        reason = f"nothing: {net:.2f} points net over {held} are little against {sd:.2f} of risk"
    elif side < 0.0 and not may_sell:
        vega, reason = 0.0, f"nothing: {net:.2f} points net for a short, which is barred now"
    else:
        vega = side * min(size * (1.0 if side > 0.0 else rules.short_share), rules.max_vega_usd)
        reason = f"{word}: {net:.2f} points net over {held}, {sd:.2f} of risk"
    return VegaTarget(min_days=low, max_days=high, vega_usd=vega, net_points=net, sd_points=sd, reason=reason)
