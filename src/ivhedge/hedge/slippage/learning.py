"""What past trades say of the cost of the next ones, put back into the cost model.

Per venue and kind, in half-spreads of the quote at the decision: the surcharge, what spread, delay and what
was not filled cost beyond the spread that was planned; and the slope of the impact beyond the free size.
Means are Huber's (one bad fill is no rule), faded by age, and drawn towards the prior by as many trades as it
is thought to be worth. Fees are not learnt: venues publish them.

References
----------
Huber (1964), Robust estimation of a location parameter; Efron and Morris (1973), Stein's estimation rule, for
the shrinkage.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.types import FloatArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.slippage.cells import SlippageRecord

__all__ = ["LearningSettings", "LearntCost", "LearntCosts", "learn_costs"]

_TUNING = 1.345
_SWEEPS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningSettings:
    """How fast and how far costs follow the trades.

    Parameters
    ----------
    half_life_days : float
        Of a trade's weight.
    prior_trades : float
        How many trades the prior is worth.
    most : float
        Largest surcharge and impact, half-spreads.
    """

    half_life_days: float = 20.0
    prior_trades: float = 30.0
    most: float = 10.0

    def __post_init__(self) -> None:
        for name in ("half_life_days", "prior_trades", "most"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"expected {name} above 0, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntCost:
    """What was learnt of one venue and kind.

    Parameters
    ----------
    venue : str
    kind : InstrumentKind
    trades : int
        Seen before the moment.
    weight : float
        Of them after fading, in trades.
    found, deviation : float
        Surcharge of the trades alone, half-spreads, and its standard error.
    surcharge : float
        What the model now takes: between the prior's and `found`.
    """

    venue: str
    kind: InstrumentKind
    trades: int
    weight: float
    found: float
    deviation: float
    surcharge: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntCosts:
    """A cost model that has learnt, and what from.

    Parameters
    ----------
    model : CostModel
        The prior with `surcharge` and `impact_half_spreads` renewed.
    cells : tuple of LearntCost
    impact_trades : int
        Trades beyond the free size, of which the impact was learnt; 0 leaves the prior's.
    """

    model: CostModel
    cells: tuple[LearntCost, ...]
    impact_trades: int


def learn_costs(
    records: Iterable[SlippageRecord],
    prior: CostModel,
    *,
    now_ns: int,
    settings: LearningSettings | None = None,
) -> LearntCosts:
    """Renew a cost model from the trades before a moment.

    Parameters
    ----------
    records : iterable of SlippageRecord
        Those at or after `now_ns` are not looked at.
    prior : CostModel
        Whose planned spreads the records' plans were made with.
    now_ns : int
    settings : LearningSettings, optional

    Notes
    -----
    A surcharge is never below 0: a plan never counts on fills inside the touch.
    """
    chosen = settings or LearningSettings()
    past = sorted((r for r in records if r.ts_ns < now_ns), key=lambda r: r.ts_ns)
    groups: dict[tuple[str, InstrumentKind], list[SlippageRecord]] = {}
    for record in past:
        groups.setdefault((record.venue, record.kind), []).append(record)
    cells = tuple(_learnt(key, groups[key], prior, now_ns, chosen) for key in sorted(groups))
    impact, used = _impact(past, prior, now_ns, chosen)
    surcharge = dict(prior.surcharge) | {(cell.venue, cell.kind): cell.surcharge for cell in cells}
    model = replace(prior, surcharge=surcharge, impact_half_spreads=impact)
    return LearntCosts(model=model, cells=cells, impact_trades=used)


def _learnt(
    key: tuple[str, InstrumentKind],
    records: Sequence[SlippageRecord],
    prior: CostModel,
    now_ns: int,
    settings: LearningSettings,
) -> LearntCost:
    beyond = np.array(
        [(r.causes.spread + r.causes.delay + r.causes.unfilled - r.plan.spread) / r.unit for r in records]
    )
    weight = _faded(records, now_ns, settings)
    found, deviation = _huber(beyond, weight)
    total = float(weight.sum())
    before = prior.surcharge.get(key, 0.0)
    share = total / (total + settings.prior_trades)
    surcharge = float(np.clip(before + share * (found - before), 0.0, settings.most))
    return LearntCost(
        venue=key[0],
        kind=key[1],
        trades=len(records),
        weight=total,
        found=found,
        deviation=deviation,
        surcharge=surcharge,
    )


def _impact(
    records: Sequence[SlippageRecord], prior: CostModel, now_ns: int, settings: LearningSettings
) -> tuple[float, int]:
    """Half-spreads per assumed size taken beyond the first, least squares with the prior as a pull."""
    rows = []
    for record in records:
        free = prior.assumed_size.get(record.kind)
        filled = abs(record.trade.contracts)
        if free is not None and filled > free:
            # The mean impact of a trade in half-spreads, by the model, for a slope of 1.
            shape = 0.5 * (filled - free) ** 2 / (free * filled)
            whole = record.unit * filled / abs(record.plan.contracts)
            rows.append((shape, record.causes.impact / whole, record))
    if not rows:
        return prior.impact_half_spreads, 0
    x, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    weight = _faded([row[2] for row in rows], now_ns, settings)
    slope = prior.impact_half_spreads
    pull = settings.prior_trades * float(np.average(x * x, weights=weight))
    for _ in range(_SWEEPS):
        residual = np.abs(y - slope * x)
        kept = weight * _clipped(residual, weight)
        top = float((kept * x) @ y) + pull * prior.impact_half_spreads
        new = top / (float((kept * x) @ x) + pull)
        done = abs(new - slope) <= 1e-10 * (1.0 + abs(slope))
        slope = new
        if done:
            break
    return float(np.clip(slope, 0.0, settings.most)), len(rows)


def _faded(records: Sequence[SlippageRecord], now_ns: int, settings: LearningSettings) -> FloatArray:
    age = np.array([(now_ns - record.ts_ns) / NS_PER_DAY for record in records])
    return np.asarray(np.exp2(-age / settings.half_life_days))


def _huber(values: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Location and its standard error."""
    centre = _median(values, weight)
    for _ in range(_SWEEPS):
        kept = weight * _clipped(np.abs(values - centre), weight)
        new = float((kept @ values) / kept.sum())
        done = abs(new - centre) <= 1e-12 * (1.0 + abs(centre))
        centre = new
        if done:
            break
    kept = weight * _clipped(np.abs(values - centre), weight)
    spread = float(np.sqrt(kept**2 @ (values - centre) ** 2) / kept.sum())
    return centre, spread


def _clipped(residual: FloatArray, weight: FloatArray) -> FloatArray:
    """Huber's weights at 1.345 robust deviations."""
    bound = _TUNING * 1.4826 * _median(residual, weight)
    if not bound > 0.0:
        return np.ones_like(residual)
    return np.asarray(np.where(residual > bound, bound / np.maximum(residual, bound), 1.0))


def _median(values: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weight[order])
    return float(values[order][int(np.searchsorted(passed, 0.5 * passed[-1]))])
