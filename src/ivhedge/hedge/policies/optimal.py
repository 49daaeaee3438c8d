"""The optimal no-transaction region by dynamic programming: the yardstick for every band.

In units of the strike and of discounted prices, with k = ln(F/K) on a lattice whose step is a fraction of one
check's deviation, the certainty-equivalent loss of a hedger with exponential utility is

    C_i(k, h) = 1/a · ln E exp(a·(L_{i+1}(k', h) − h·(e^{k'} − e^k))),
    L_i(k, h) = min over h' of C_i(k, h') + cost·e^k·|h' − h|,      L_n = −position·payoff + closing cost,

the mean over three-point steps that match five moments of the normal each. C is convex in h: the region lies
where its slope is within ± cost·e^k, and outside it one trades to the edge.

References
----------
Hodges, Neuberger (1989), Optimal replication of contingent claims under transaction costs.
Davis, Panas, Zariphopoulou (1993), European option pricing with transaction costs.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, sqrt

import numpy as np
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.policies.protocol import OPEN, Gate, positive, rebalance
from ivhedge.hedge.policies.state import HedgeMoment, Zone

__all__ = ["NoTradeRegion", "OptimalBand", "solve_region"]

_FINENESS = 2  # lattice steps per branch of the three-point step
_SUBSTEPS = 3  # three-point steps per check: one alone has tails too thin for a high aversion
_REACH = 5.0  # deviations of the whole life on both sides of the strike
_MARGIN = 0.1  # hedges considered beyond 0 and one coin
_MOST_WORK = 2e8


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTradeRegion:
    """A solved region, for one option and one number of checks.

    Parameters
    ----------
    log_moneyness : FloatArray, shape (nodes,)
        ln(F/K).
    total_vol : FloatArray, shape (checks,)
        Vol times root of time left, decreasing.
    lower, upper : FloatArray, shape (checks, nodes)
        Edges, coins per call.
    cost, aversion : float
        What it was solved for.
    position : int
        -1 short, +1 long.
    value : float
        Certainty-equivalent loss at the strike at the start from no hedge, in strikes, premium not counted.
    """

    log_moneyness: FloatArray
    total_vol: FloatArray
    lower: FloatArray
    upper: FloatArray
    cost: float
    aversion: float
    position: int
    value: float


@lru_cache(maxsize=64)
def solve_region(
    *,
    total_vol: float,
    n_checks: int,
    cost: float,
    aversion: float,
    position: int = -1,
    drift: float = 0.0,
    liquidate: bool = True,
    n_hedges: int = 161,
) -> NoTradeRegion:
    """Solve for the region of a call.

    Parameters
    ----------
    total_vol : float
        Vol times root of the option's life, > 0.
    n_checks : int
        Times at which one may trade, equally spaced in variance.
    cost : float
        One way, per unit of value traded, >= 0.
    aversion : float
        Of one notional (strike), > 0.
    position : int
    drift : float
        Of the log forward over the whole life beyond its risk-neutral one, e.g. (mu − r)·tau.
    liquidate : bool
        Whether closing the hedge at expiry costs.
    n_hedges : int
        Grid of hedges; edges are interpolated between them.

    Raises
    ------
    ConfigError
        If a parameter is outside its range or the grid too large to solve in seconds.
    """
    for name, value in (("total_vol", total_vol), ("aversion", aversion)):
        positive(name, value)
    positive("cost", cost, zero=True)
    if n_checks < 1 or n_hedges < 11 or position not in (-1, 1):
        raise ConfigError(
            f"expected n_checks >= 1, n_hedges >= 11 and position +1 or -1, "
            f"found {n_checks}, {n_hedges} and {position}"
        )
    step = total_vol / sqrt(n_checks)
    step /= sqrt(_SUBSTEPS)
    jump = sqrt(3.0) * step
    half = int(np.ceil(_REACH * total_vol / jump * _FINENESS)) + _FINENESS
    k = np.asarray(np.arange(-half, half + 1) * (jump / _FINENESS), dtype=np.float64)
    if k.size * n_hedges * n_checks > _MOST_WORK:
        raise ConfigError(
            f"expected fewer than {_MOST_WORK:.0e} grid points, found {k.size * n_hedges * n_checks}; "
            f"lower n_checks or n_hedges"
        )
    h = np.linspace(-_MARGIN, 1.0 + _MARGIN, n_hedges) * -position
    h.sort()
    price = np.exp(k)[:, None]
    loss = -position * np.maximum(price - 1.0, 0.0) + (cost * np.abs(h) * price if liquidate else 0.0 * h)
    probabilities = _branches(jump, step, drift / n_checks / _SUBSTEPS)
    lower, upper = np.empty((n_checks, k.size)), np.empty((n_checks, k.size))
    for i in range(n_checks - 1, -1, -1):
        held = loss
        for _ in range(_SUBSTEPS):
            held = _held(held, h, price, probabilities, aversion)
        lower[i], upper[i] = _edges(held, h, cost * price)
        loss = _after_trade(held, h, lower[i][:, None], upper[i][:, None], cost * price)
    left = total_vol * np.sqrt(1.0 - np.arange(n_checks) / n_checks)
    value = float(np.interp(0.0, h, loss[half]))
    for array in (k, left, lower, upper):
        array.setflags(write=False)
    return NoTradeRegion(
        log_moneyness=k,
        total_vol=left,
        lower=lower,
        upper=upper,
        cost=cost,
        aversion=aversion,
        position=position,
        value=value,
    )


def _branches(jump: float, step: float, drift: float) -> tuple[float, float, float]:
    # Mean of the price exp(drift), second moment of the log that of the step: two equations, three branches.
    spread = step * step / (jump * jump)
    up, down = exp(jump) - 1.0, 1.0 - exp(-jump)
    p_up = (exp(drift) - 1.0 + spread * down) / (up + down)
    return spread - p_up, 1.0 - spread, p_up


def _held(
    loss: FloatArray, h: FloatArray, price: FloatArray, p: tuple[float, float, float], aversion: float
) -> FloatArray:
    """Certainty-equivalent loss of holding h to the next check."""
    m = _FINENESS
    # Beyond the lattice the option is all stock or nothing: the outermost rows carry on in a straight line.
    below = np.concatenate([loss[:1] + 0.0 * loss[:m], loss[:-m]])
    above = np.concatenate([loss[m:], loss[-1:] + 0.0 * loss[:m]])
    ratio = price[m] / price[0]
    lows, highs = price / ratio, price * ratio
    top = price[-1, 0]
    above[-m:] += (loss[-1] - loss[-2]) / (price[-1] - price[-2]) * (highs[-m:] - top)
    branches = [
        below - h * (lows - price),
        loss,
        above - h * (highs - price),
    ]
    most = np.maximum(np.maximum(branches[0], branches[1]), branches[2])
    total = sum(q * np.exp(aversion * (b - most)) for q, b in zip(p, branches, strict=True))
    return np.asarray(most + np.log(total) / aversion)


def _edges(held: FloatArray, h: FloatArray, toll: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where the slope of the held loss passes −toll and +toll."""
    slope = np.diff(held, axis=1) / np.diff(h)
    middle = 0.5 * (h[1:] + h[:-1])
    return _crossing(slope, middle, -toll), _crossing(slope, middle, toll)


def _crossing(slope: FloatArray, middle: FloatArray, level: FloatArray) -> FloatArray:
    # Rounding can break the convexity by a hair where the loss is flat.
    slope = np.maximum.accumulate(slope, axis=1)
    count = (slope < level).sum(axis=1)
    rows = np.arange(slope.shape[0])
    right = np.clip(count, 1, middle.size - 1)
    s0, s1 = slope[rows, right - 1], slope[rows, right]
    gap = np.where(s1 > s0, s1 - s0, 1.0)
    share = np.clip((level[:, 0] - s0) / gap, 0.0, 1.0)
    return np.asarray(middle[right - 1] + share * (middle[right] - middle[right - 1]))


def _after_trade(
    held: FloatArray, h: FloatArray, lower: FloatArray, upper: FloatArray, toll: FloatArray
) -> FloatArray:
    place = np.clip(h, lower, upper)
    width = h[1] - h[0]
    column = np.clip(((place - h[0]) / width).astype(np.int64), 0, h.size - 2)
    share = (place - h[0]) / width - column
    rows = np.arange(held.shape[0])[:, None]
    best = held[rows, column] * (1.0 - share) + held[rows, column + 1] * share
    return np.asarray(best + toll * np.abs(h - place))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimalBand:
    """Trade to the edge of a solved region.

    Parameters
    ----------
    region : NoTradeRegion
        Of the position's side. Read by ln(F/K) and by the variance left; before its begin its first row
        holds, so solve for the longest life.
    """

    region: NoTradeRegion

    @property
    def gate(self) -> Gate:
        """When to look."""
        return OPEN

    def zone(self, moment: HedgeMoment) -> Zone:
        """Edges of the region; a put's are those of the call less one coin.

        Raises
        ------
        DataError
            If the position is on the other side than the region.
        """
        region = self.region
        if np.any(np.sign(moment.gamma) == -region.position):
            raise DataError(
                f"expected positions of side {region.position:+d} as in the region, found the other side; "
                f"solve a region for it"
            )
        left = (moment.total_vol / region.total_vol[0]) ** 2
        row = np.clip((1.0 - left) * region.total_vol.size, 0.0, region.total_vol.size - 1.0)
        spacing = region.log_moneyness[1] - region.log_moneyness[0]
        column = (moment.log_moneyness - region.log_moneyness[0]) / spacing
        column = np.clip(column, 0.0, region.log_moneyness.size - 1.0)
        safe = np.where(moment.total_vol > 0.0, moment.total_vol, 1.0)
        call = np.where(
            moment.total_vol > 0.0,
            ndtr(moment.log_moneyness / safe + 0.5 * safe),
            0.5 * (1.0 + np.sign(moment.log_moneyness)),
        )
        shift = moment.target + region.position * call
        return Zone.to_edge(
            shift + _bilinear(region.lower, row, column), shift + _bilinear(region.upper, row, column)
        )

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)


def _bilinear(table: FloatArray, row: FloatArray, column: FloatArray) -> FloatArray:
    # Rows: between two checks the earlier holds, near expiry the region changes too fast to mix.
    i = np.rint(row).astype(np.int64)
    j = np.minimum(column.astype(np.int64), table.shape[1] - 2)
    share = column - j
    return np.asarray(table[i, j] * (1.0 - share) + table[i, j + 1] * share)
