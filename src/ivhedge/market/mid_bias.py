"""Fair vols inside wide, lopsided quotes.

The middle of a quote is the fair value only where both half-spreads are equal. Echenim, Gobet and Maurice
(Quantitative Finance 2023, arXiv:2207.02989) show that a calibration to mids is biased in crypto markets with
wide spreads and missing quotes. The estimator here is a regression. In one expiry the middle of quote i is::

    m_i = f(z_i) + a_i h_i + noise_i,   sd(noise_i)^2 = (s h_i)^2 + tick_i^2 + floor^2

f is the smile (a penalised cubic spline in standardised moneyness z), h_i the half-spread less the half tick
that rounding outwards adds to it, and a_i the
asymmetry: a constant per venue, linear in tanh(z / 2), with its own level and slope in the money.
The quotes of one strike and its neighbours differ in width: that tells a from f. Asymmetries of the expiries
share a mean and a variance, estimated by expectation maximisation (empirical Bayes), so that an expiry whose
widths hardly differ takes the asymmetry of the others. Missing sides and one-tick bids are censored
observations: they move f only where it breaks their bound. Bad quotes lose weight by Tukey's biweight.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import polars as pl
from scipy.interpolate import BSpline
from scipy.special import log_ndtr

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.market.arrays import median
from ivhedge.market.parity import MAD_TO_SD
from ivhedge.market.vols import QuoteVols

__all__ = ["FairStatus", "MidBiasSettings", "UnbiasedMids", "unbiased_mids"]

_TUKEY: Final = 4.685
_ROUNDS: Final = 8
_EM_ROUNDS: Final = 15
_SHAPES: Final = 3
_GRID: Final = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class FairStatus(StrEnum):
    """What a fair vol, or the fit of an expiry, rests on."""

    OK = "ok"
    OUTLIER = "outlier"
    BOUND = "bound"
    FEW_QUOTES = "few_quotes"
    BOUNDS_ONLY = "bounds_only"
    NO_QUOTE = "no_quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class MidBiasSettings:
    """How fair vols are estimated.

    Parameters
    ----------
    min_quotes : int
        Expiries with fewer two-sided quotes keep their mids, corrected by the pooled asymmetry.
    floor_vol : float
        Smallest standard deviation of a mid, decimal volatility.
    max_intervals : int
        Most intervals of the spline of an expiry.
    prior_sd : float
        Standard deviation of the pooled asymmetry around 0 before quotes are seen, in half-spreads.
    """

    min_quotes: int = 8
    floor_vol: float = 2e-4
    max_intervals: int = 8
    prior_sd: float = 0.5

    def __post_init__(self) -> None:
        if self.min_quotes < 6 or self.max_intervals < 1 or not min(self.floor_vol, self.prior_sd) > 0.0:
            raise ConfigError(
                "expected min_quotes >= 6, max_intervals >= 1, floor_vol and prior_sd above 0, "
                f"found {self.min_quotes}, {self.max_intervals}, {self.floor_vol}, {self.prior_sd}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbiasedMids:
    """Fair vols of every row of a `QuoteVols`, in its order; arrays have shape (n,).

    Parameters
    ----------
    fair_iv, fair_sd : FloatArray
        Two-sided rows: the row's own mid without its bias, inside its bid and ask, decimals. Bounds: the
        mean of the smile given that the bound holds. NaN where the expiry has nothing to go by.
    smile_iv, smile_sd : FloatArray
        The smile through all quotes of the expiry; NaN in an expiry with too few.
    asymmetry : FloatArray
        Distance of the middle of the quote from the fair vol in half-spreads, above 0 where the ask is the
        farther side; NaN unless two-sided.
    status : tuple of FairStatus
    expiries : pl.DataFrame
        ``expiry_ns, status, n_two_sided, n_bounds, n_outliers, asymmetry, asymmetry_sd, noise_share``; the
        asymmetry is that at the money of the expiry's first venue by name.
    """

    fair_iv: FloatArray
    fair_sd: FloatArray
    smile_iv: FloatArray
    smile_sd: FloatArray
    asymmetry: FloatArray
    status: tuple[FairStatus, ...]
    expiries: pl.DataFrame

    def counts(self) -> dict[str, int]:
        """Rows per status."""
        return {s.value: self.status.count(s) for s in FairStatus if s in self.status}


@dataclass(slots=True, kw_only=True)
class _Slice:
    """Quotes of one expiry: `rows` are two-sided, `bounds` one-sided or of one tick."""

    rows: IntArray
    bounds: IntArray
    mid: FloatArray
    half: FloatArray
    noise: FloatArray
    basis: FloatArray
    shape: FloatArray
    bound_basis: FloatArray
    low: FloatArray
    high: FloatArray
    bound_sd: FloatArray
    weight: FloatArray
    share: float = 0.3
    ridge: float = 1e-2


def unbiased_mids(quotes: QuoteVols, *, settings: MidBiasSettings | None = None) -> UnbiasedMids:
    """Estimate the fair vol of every quote, free of the bias of lopsided spreads.

    Parameters
    ----------
    quotes : QuoteVols
        Any rows; nothing raises for thin, one-sided, crossed or missing quotes, see `UnbiasedMids.status`.
    settings : MidBiasSettings, optional

    Notes
    -----
    What cannot be told apart: where all quotes of all expiries have widths that are one smooth function of
    moneyness, the asymmetry has no trace in them and stays near its prior of 0 with a wide error. The model
    takes the two half-spreads of a quote to be proportional to its width on average; where only one side
    varies in width, the fair vol is drawn towards the other side.
    """
    settings = settings or MidBiasSettings()
    half = 0.5 * (quotes.ask_iv - quotes.bid_iv)
    tick = np.nan_to_num(quotes.half_spread_iv - half, nan=0.0, posinf=1.0) / 3.0**0.5
    # Quotes are rounded outwards, half a tick a side on average: that width is even, not lopsided.
    skewed = np.maximum(half - 3.0**0.5 * tick, 0.2 * half)
    two_sided = quotes.is_two_sided & ~quotes.at_one_tick & (half >= 0.0) & (quotes.tau > 0.0)
    some = (np.isfinite(quotes.bid_iv) | np.isfinite(quotes.ask_iv)) & (quotes.tau > 0.0)
    bound = some & ~two_sided & ~(quotes.bid_iv > quotes.ask_iv)
    names, venue = np.unique(np.array(quotes.venue), return_inverse=True)
    expiries = np.unique(quotes.expiry_ns)
    rows = [np.flatnonzero(two_sided & (quotes.expiry_ns == e)) for e in expiries]
    bounds = [np.flatnonzero(bound & (quotes.expiry_ns == e)) for e in expiries]
    slices: list[_Slice | None] = [
        _slice(quotes, r, b, half, skewed, tick, venue, names.size, settings)
        if r.size >= settings.min_quotes
        else None
        for r, b in zip(rows, bounds, strict=True)
    ]
    fitted = [s for s in slices if s is not None]
    size = names.size + _SHAPES
    mean, spread = np.zeros(size), np.full(size, settings.prior_sd**2)
    for turn in range(2):
        for part in fitted:
            _reweigh(
                part, mean, spread, rounds=_ROUNDS if turn == 0 else 2, choose=turn == 0, settings=settings
            )
        if fitted:
            mean, spread = _pooled([_information(p, settings) for p in fitted], settings.prior_sd)
    return _assembled(
        quotes, expiries, rows, bounds, slices, half, skewed, tick, venue, mean, spread, settings
    )


def _shape(z: FloatArray, venue: IntArray, n_venues: int, is_otm: BoolArray) -> FloatArray:
    t = np.tanh(0.5 * z)
    level = (venue[:, None] == np.arange(n_venues)[None, :]).astype(np.float64)
    inside = (~is_otm).astype(np.float64)
    return np.column_stack([level, t, inside, inside * t])


def _centre(quotes: QuoteVols, rows: IntArray) -> float:
    near = rows[np.argsort(np.abs(quotes.log_moneyness[rows]), kind="stable")[:6]]
    return median(0.5 * (quotes.bid_iv + quotes.ask_iv)[near])


def _slice(
    quotes: QuoteVols,
    rows: IntArray,
    bounds: IntArray,
    half: FloatArray,
    skewed: FloatArray,
    tick: FloatArray,
    venue: IntArray,
    n_venues: int,
    settings: MidBiasSettings,
) -> _Slice:
    # Every key that can tell rows apart: sums then do not depend on the order of the input.
    keys = (quotes.ask_iv, quotes.bid_iv, quotes.is_call, venue, quotes.log_moneyness)
    rows = rows[np.lexsort(tuple(key[rows] for key in keys))]
    z = quotes.log_moneyness / (_centre(quotes, rows) * np.sqrt(quotes.tau))
    ends = float(z[rows].min()), float(z[rows].max())
    count = int(np.clip(np.unique(z[rows]).size // 4, 1, settings.max_intervals))
    knots = _knots(*ends, count)
    at_bound = np.clip(z[bounds], *ends)
    # Beyond the two-sided quotes the spline says nothing; a bound there says nothing about it either.
    bounds = bounds[at_bound == z[bounds]]
    age = 2.0 ** np.minimum(quotes.age_s[rows] / 60.0, 30.0)
    typical = median(half[rows])
    bound_tick = np.where(tick[bounds] > 0.0, tick[bounds], 0.25 * typical)
    return _Slice(
        rows=rows,
        bounds=bounds,
        mid=0.5 * (quotes.bid_iv + quotes.ask_iv)[rows],
        half=np.maximum(half[rows], settings.floor_vol) * np.sqrt(age),
        noise=tick[rows],
        basis=_basis(z[rows], knots),
        shape=_shape(z[rows], venue[rows], n_venues, quotes.is_otm[rows]) * skewed[rows, None],
        bound_basis=_basis(z[bounds], knots),
        low=np.where(quotes.at_one_tick[bounds], np.nan, quotes.bid_iv[bounds]),
        high=quotes.ask_iv[bounds],
        bound_sd=np.hypot(bound_tick, settings.floor_vol),
        weight=np.ones(rows.size),
    )


def _knots(low: float, high: float, count: int) -> FloatArray:
    inner = np.linspace(low, max(high, low + 1e-6), count + 1)
    return np.concatenate((np.full(3, inner[0]), inner, np.full(3, inner[-1])))


def _basis(z: FloatArray, knots: FloatArray) -> FloatArray:
    if z.size == 0:
        return np.zeros((0, knots.size - 4))
    inside = np.clip(z, knots[0], knots[-1])
    return np.asarray(BSpline.design_matrix(inside, knots, 3).toarray())


def _penalty(size: int) -> FloatArray:
    third = np.diff(np.eye(size), 3, axis=0)
    return np.asarray(third.T @ third + 1e-9 * np.eye(size))


def _variance(part: _Slice, settings: MidBiasSettings) -> FloatArray:
    return np.asarray((part.share * part.half) ** 2 + part.noise**2 + settings.floor_vol**2)


def _joint(
    part: _Slice, mean: FloatArray, spread: FloatArray, settings: MidBiasSettings
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean and covariance of spline coefficients and asymmetries."""
    weight = part.weight / _variance(part, settings)
    design = np.hstack([part.basis, part.shape])
    n = part.basis.shape[1]
    matrix = design.T @ (weight[:, None] * design)
    matrix[:n, :n] += _scaled_penalty(part, weight)
    prior = np.arange(n, design.shape[1])
    matrix[prior, prior] += 1.0 / spread
    right = design.T @ (weight * part.mid)
    right[n:] += mean / spread
    bound_weight = np.zeros(part.bounds.size)
    # A few rounds of an active set: a bound pulls only where the smile breaks it.
    for _ in range(3):
        full = matrix.copy()
        full[:n, :n] += part.bound_basis.T @ (bound_weight[:, None] * part.bound_basis)
        covariance = np.linalg.inv(full)
        at = part.bound_basis @ (covariance[:n] @ (right + _pull(part, bound_weight, design.shape[1])))
        broken = np.fmax(np.fmax(at - part.high, part.low - at), 0.0)
        score = broken / (_TUKEY * (part.bound_sd + 0.5 * np.median(part.half)))
        updated = np.where(broken > 0.0, np.maximum(1.0 - score**2, 0.0) ** 2 / part.bound_sd**2, 0.0)
        if np.array_equal(updated > 0.0, bound_weight > 0.0):
            break
        bound_weight = updated
    solution = covariance @ (right + _pull(part, bound_weight, design.shape[1]))
    return np.asarray(solution, dtype=np.float64), np.asarray(covariance, dtype=np.float64)


def _pull(part: _Slice, weight: FloatArray, size: int) -> FloatArray:
    out = np.zeros(size)
    # Both bounds of a row of one tick cannot be broken at once; its lower one is NaN.
    target = np.where(np.isnan(part.high), part.low, part.high)
    out[: part.basis.shape[1]] = part.bound_basis.T @ (weight * np.where(weight > 0.0, target, 0.0))
    return out


def _scaled_penalty(part: _Slice, weight: FloatArray) -> FloatArray:
    size = part.basis.shape[1]
    return np.asarray(part.ridge * float(weight.sum()) / size * _penalty(size))


def _reweigh(
    part: _Slice,
    mean: FloatArray,
    spread: FloatArray,
    *,
    rounds: int,
    choose: bool,
    settings: MidBiasSettings,
) -> None:
    """Robust weights and the share of noise, by iteration; the ridge by generalised cross-validation."""
    for step in range(rounds):
        solution, _ = _joint(part, mean, spread, settings)
        left = part.mid - np.hstack([part.basis, part.shape]) @ solution
        per_half = np.abs(left) / np.hypot(part.half, part.noise)
        freedom = part.rows.size / max(part.rows.size - 0.5 * part.basis.shape[1] - 2.0, 1.0)
        part.share = float(np.clip(MAD_TO_SD * median(per_half) * freedom, 0.03, 1.0))
        score = np.abs(left) / np.sqrt(_variance(part, settings))
        if choose and step < rounds // 2:
            part.weight = 1.0 / np.maximum(1.0, score)  # convex first, so that the start does not matter
        else:
            part.weight = np.maximum(1.0 - (score / _TUKEY) ** 2, 0.0) ** 2
        if choose and step == rounds // 2:
            part.ridge = min(_GRID, key=lambda ridge: _cross_validation(part, ridge, settings))


def _cross_validation(part: _Slice, ridge: float, settings: MidBiasSettings) -> float:
    part.ridge = ridge
    weight = part.weight / _variance(part, settings)
    design = np.hstack([part.basis, part.shape])
    n = part.basis.shape[1]
    matrix = design.T @ (weight[:, None] * design)
    matrix[:n, :n] += _scaled_penalty(part, weight)
    matrix[np.arange(n, design.shape[1]), np.arange(n, design.shape[1])] += 1.0
    inverse = np.linalg.inv(matrix)
    left = part.mid - design @ (inverse @ (design.T @ (weight * part.mid)))
    trace = float(np.sum((design @ inverse) * design * weight[:, None]))
    return float(np.sum(weight * left**2)) / max(part.rows.size - 1.2 * trace, 0.5) ** 2


def _information(part: _Slice, settings: MidBiasSettings) -> tuple[FloatArray, FloatArray]:
    """Information on the asymmetries once the smile is profiled out, and its score."""
    weight = part.weight / _variance(part, settings)
    smile = part.basis.T @ (weight[:, None] * part.basis) + _scaled_penalty(part, weight)
    cross = part.basis.T @ (weight[:, None] * part.shape)
    solved = np.linalg.solve(smile, np.column_stack([cross, part.basis.T @ (weight * part.mid)]))
    info = part.shape.T @ (weight[:, None] * part.shape) - cross.T @ solved[:, :-1]
    score = part.shape.T @ (weight * part.mid) - cross.T @ solved[:, -1]
    return 0.5 * (info + info.T), score


def _pooled(parts: list[tuple[FloatArray, FloatArray]], prior_sd: float) -> tuple[FloatArray, FloatArray]:
    """Mean and variance over expiries of the asymmetries, by expectation maximisation."""
    size = parts[0][1].size
    mean: FloatArray = np.zeros(size)
    spread: FloatArray = np.full(size, 0.1)
    for _ in range(_EM_ROUNDS):
        moment: FloatArray = np.zeros(size)
        precision: FloatArray = np.zeros((size, size))
        for info, _ in parts:
            sure = info + 1e-9 * np.eye(size)
            precision = precision + np.linalg.inv(np.diag(spread) + np.linalg.inv(sure))
        right: FloatArray = np.zeros(size)
        for info, score in parts:
            cov = np.linalg.inv(np.diag(spread) + np.linalg.inv(info + 1e-9 * np.eye(size)))
            right = np.asarray(
                right + cov @ np.linalg.solve(info + 1e-9 * np.eye(size), score), dtype=np.float64
            )
        mean = np.asarray(np.linalg.solve(precision + np.eye(size) / prior_sd**2, right), dtype=np.float64)
        for info, score in parts:
            own_cov = np.linalg.inv(info + np.diag(1.0 / spread))
            own = own_cov @ (score + mean / spread)
            moment = np.asarray(moment + np.diagonal(own_cov) + np.square(own - mean), dtype=np.float64)
        # A little of the prior variance keeps a single expiry from setting it to 0.
        spread = np.asarray(np.maximum((moment + 0.02) / (len(parts) + 2.0), 1e-4), dtype=np.float64)
    return mean, spread


def _assembled(
    quotes: QuoteVols,
    expiries: IntArray,
    rows: list[IntArray],
    bounds: list[IntArray],
    slices: list[_Slice | None],
    half: FloatArray,
    skewed: FloatArray,
    tick: FloatArray,
    venue: IntArray,
    mean: FloatArray,
    spread: FloatArray,
    settings: MidBiasSettings,
) -> UnbiasedMids:
    n = len(quotes)
    fair, fair_sd, smile, smile_sd, asymmetry = (np.full(n, np.nan) for _ in range(5))
    status = [FairStatus.NO_QUOTE] * n
    table = []
    n_venues = mean.size - _SHAPES
    for number, part in enumerate(slices):
        mine, edge = rows[number], bounds[number]
        solution, covariance, share = mean, np.diag(spread), 0.5
        verdict = FairStatus.BOUNDS_ONLY if edge.size else FairStatus.NO_QUOTE
        if mine.size:
            verdict = FairStatus.FEW_QUOTES if part is None else FairStatus.OK
            z = quotes.log_moneyness / (_centre(quotes, mine) * np.sqrt(np.maximum(quotes.tau, 1e-12)))
            if part is not None:
                solution, covariance = _joint(part, mean, spread, settings)
                share = part.share
                width = part.basis.shape[1]
                for where, basis in ((part.rows, part.basis), (part.bounds, part.bound_basis)):
                    smile[where] = basis @ solution[:width]
                    smile_sd[where] = np.sqrt(np.sum((basis @ covariance[:width, :width]) * basis, axis=1))
                solution, covariance = solution[width:], covariance[width:, width:]
            shape = _shape(z[mine], venue[mine], n_venues, quotes.is_otm[mine])
            a = np.clip(shape @ solution, -1.0, 1.0)
            a_var = np.sum((shape @ covariance) * shape, axis=1)
            asymmetry[mine] = a
            fair[mine] = 0.5 * (quotes.bid_iv + quotes.ask_iv)[mine] - a * skewed[mine]
            fair_sd[mine] = np.sqrt(
                (share**2 + a_var) * half[mine] ** 2 + tick[mine] ** 2 + settings.floor_vol**2
            )
            for row in mine:
                status[row] = verdict
            if part is not None:
                for row in part.rows[part.weight < 1e-3]:
                    status[row] = FairStatus.OUTLIER
        for row in edge:
            status[row] = FairStatus.BOUND
        known = edge[np.isfinite(smile[edge])]
        fair[known], fair_sd[known] = _truncated(quotes, known, smile[known], smile_sd[known], settings)
        table.append(
            {
                "expiry_ns": int(expiries[number]),
                "status": verdict.value,
                "n_two_sided": int(mine.size),
                "n_bounds": int(edge.size),
                "n_outliers": 0 if part is None else int(np.sum(part.weight < 1e-3)),
                "asymmetry": float(solution[0]) if mine.size else None,
                "asymmetry_sd": float(covariance[0, 0] ** 0.5) if mine.size else None,
                "noise_share": None if part is None else part.share,
            }
        )
    return UnbiasedMids(
        fair_iv=fair,
        fair_sd=fair_sd,
        smile_iv=smile,
        smile_sd=smile_sd,
        asymmetry=asymmetry,
        status=tuple(status),
        expiries=pl.DataFrame(table, schema=_TABLE),
    )


_TABLE: Final = {
    "expiry_ns": pl.Int64(),
    "status": pl.String(),
    "n_two_sided": pl.Int64(),
    "n_bounds": pl.Int64(),
    "n_outliers": pl.Int64(),
    "asymmetry": pl.Float64(),
    "asymmetry_sd": pl.Float64(),
    "noise_share": pl.Float64(),
}


def _truncated(
    quotes: QuoteVols, rows: IntArray, mean: FloatArray, sd: FloatArray, settings: MidBiasSettings
) -> tuple[FloatArray, FloatArray]:
    """Mean and sd of a normal variable below an ask, or above a bid."""
    ask, bid = quotes.ask_iv[rows], quotes.bid_iv[rows]
    sign = np.where(np.isfinite(ask), 1.0, -1.0)
    bound = np.where(np.isfinite(ask), ask, bid)
    sd = np.hypot(sd, settings.floor_vol)
    room = np.clip(sign * (bound - mean) / sd, -30.0, 30.0)
    mills = np.exp(-0.5 * room**2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(room))
    shrink = np.maximum(1.0 - room * mills - mills**2, 1e-3)
    moved = mean - sign * sd * mills
    return np.where(sign > 0, np.minimum(moved, bound), np.maximum(moved, bound)), sd * np.sqrt(shrink)
