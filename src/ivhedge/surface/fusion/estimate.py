"""Joint estimate of the smiles and of every venue's level, slope and forward bias.

A quote of venue v in expiry e is

    vol = curve_e(z) + level[v, e] + slope[v, e] · z + forward error[v, e] · d vol / d ln F + error,

with z the standardised log-moneyness. Curves are splines with flat priors and are marginalised; biases have
normal priors (`state`), and their spread between a venue's expiries is estimated by maximum marginal
likelihood (MacKay's fixed point). Errors are those of `_noise`. All rounds are exact weighted least squares.

References
----------
Harville (1977), Maximum likelihood approaches to variance component estimation, equation 3.
MacKay (1992), Bayesian interpolation, equation 4.9. Louis (1982), Finding the observed information matrix
when using the EM algorithm.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.surface.fusion import state as bias_state
from ivhedge.surface.fusion._copies import copy_discount, error_correlations, significant
from ivhedge.surface.fusion._curve import CURVE_LIMIT, Eliminated
from ivhedge.surface.fusion._noise import VenueNoise, first_noise, good_probability, update_noise
from ivhedge.surface.fusion._problem import Problem
from ivhedge.surface.fusion.quotes import Z_LIMIT, VenueQuotes
from ivhedge.surface.fusion.settings import FusionSettings
from ivhedge.surface.fusion.state import PARTS, BiasState, carry_over

__all__ = ["Estimate", "estimate"]

_START_ROUNDS = 5
_LEAST_SPREAD = 0.02
_MOST_SPREAD = 1.0
_LEAST_INFORMATION = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one snapshot says about the venues.

    Parameters
    ----------
    state : BiasState
        Posterior, to be remembered.
    noise : VenueNoise
    good : FloatArray, shape (q,)
        Probability that each quote is good.
    discount : FloatArray, shape (q,)
        Share of each quote's information that no copied quote holds.
    bias : FloatArray, shape (q,)
        Estimated bias of each quote, decimal vol.
    error : FloatArray, shape (q,)
        Quote minus bias minus curve; NaN outside the curve.
    cross, count : FloatArray, shape (v, v)
        Sums behind the error correlations, memory included.
    correlation : FloatArray, shape (v, v)
        Significant ones.
    atm_error : FloatArray, shape (e,)
        Standard error of the curve at the money, biases included, decimal vol.
    seen : BoolArray, shape (v, e)
        Whether the venue has enough quotes in the expiry beside another venue's.
    rounds : int
    """

    state: BiasState
    noise: VenueNoise
    good: FloatArray
    discount: FloatArray
    bias: FloatArray
    error: FloatArray
    cross: FloatArray
    count: FloatArray
    correlation: FloatArray
    atm_error: FloatArray
    seen: BoolArray
    rounds: int


def estimate(
    quotes: VenueQuotes,
    settings: FusionSettings,
    *,
    before: BiasState | None = None,
    memory: tuple[FloatArray, FloatArray] | None = None,
    share: float = 1.0,
    forget: Collection[str] = (),
) -> Estimate:
    """Estimate biases and noise from one snapshot and what is remembered.

    Parameters
    ----------
    quotes : VenueQuotes
    settings : FusionSettings
    before : BiasState, optional
        Posterior of an earlier snapshot.
    memory : (cross, count), optional
        Remembered sums of error correlations, of the order of ``quotes.venues``.
    share : float
        Share of the snapshot's information that is new, in (0, 1].
    forget : collection of str
        Venues whose biases are estimated as if they were new.
    """
    n_v = len(quotes.venues)
    z = quotes.standard_moneyness
    inside = np.flatnonzero(np.abs(z) <= CURVE_LIMIT)
    problem = Problem(quotes, inside, z[inside])
    half = typical_half_spread(quotes, z, before)
    spread = None if before is None else before.expiry_spread
    size = np.sqrt(quotes.variance[inside])
    venue = quotes.venue[inside]
    prior = _prior(quotes, half, spread, settings, before, forget=forget)
    weight = 1.0 / (0.4 * size) ** 2
    noise: VenueNoise | None = None
    good = np.ones(inside.size)
    discount = np.ones(inside.size)
    cross, count, rho = np.zeros((n_v, n_v)), np.zeros((n_v, n_v)), np.zeros((n_v, n_v))
    for number in range(settings.rounds):
        last = number == settings.rounds - 1
        mean, covariance, solved = problem.solve(weight, prior)
        error = problem.errors(mean, solved)
        if number < _START_ROUNDS:
            noise = first_noise(error, size, venue, n_v)
            # Cauchy's weights forget gross errors without being trapped by them.
            sd = noise.scale[venue] * size
            good = 1.0 / (1.0 + (error / (2.0 * sd)) ** 2)
        else:
            assert noise is not None
            good = good_probability(noise, error, size, venue)
            fitted = problem.fitted_variance(covariance, solved)
            noise = update_noise(noise, good, error, fitted, size, venue)
            sd = noise.scale[venue] * size
            if before is None:
                spread = _between_expiries(mean, covariance, prior, half, problem.seen)
                shared = np.ones(len(quotes))
                shared[inside] = discount
                prior = _prior(quotes, half, spread, settings, before, shared)
        if number >= _START_ROUNDS:
            same = quotes.instrument[inside]
            cross, count = error_correlations(error / sd, good, venue, same, n_v)
            if memory is not None:
                cross, count = memory[0] + share * cross, memory[1] + share * count
            rho = significant(cross, count, settings.copy_threshold)
            discount = copy_discount(rho, venue, same)
        weight = good * discount / sd**2
        if last:
            break
    assert noise is not None
    # The mixture's observed information: a quote of doubtful standing says less than its weight.
    doubt = np.clip(1.0 - (1.0 - good) * (error / sd) ** 2, _LEAST_INFORMATION, 1.0)
    mean, _, _ = problem.solve(weight * share, prior)
    _, covariance, _ = problem.solve(weight * doubt * share, prior)
    full_mean, full_cov, solved = problem.solve(weight, prior)
    error = problem.errors(full_mean, solved)
    state = BiasState(
        ts_ns=quotes.ts_ns,
        venues=quotes.venues,
        expiry_ns=quotes.expiry_ns,
        half_spread=half,
        reference=prior.reference,
        expiry_spread=prior.expiry_spread,
        mean=mean,
        covariance=covariance,
    )
    copies = (cross, count, rho)
    return _all_rows(
        quotes, state, noise, problem, good, discount, error, copies, (full_cov, solved), settings
    )


def _all_rows(
    quotes: VenueQuotes,
    state: BiasState,
    noise: VenueNoise,
    problem: Problem,
    good: FloatArray,
    discount: FloatArray,
    error: FloatArray,
    copies: tuple[FloatArray, FloatArray, FloatArray],
    solution: tuple[FloatArray, list[Eliminated]],
    settings: FusionSettings,
) -> Estimate:
    """Spread the results over all quotes; those outside the curve count as good."""
    q = len(quotes)
    all_good, all_discount, all_error = np.ones(q), np.ones(q), np.full(q, np.nan)
    all_good[problem.rows], all_discount[problem.rows] = good, discount
    all_error[problem.rows] = error
    level, slope, shift = (state.at(part)[0][quotes.venue, quotes.expiry + 1] for part in range(PARTS))
    z = np.clip(quotes.standard_moneyness, -Z_LIMIT, Z_LIMIT)
    return Estimate(
        state=state,
        noise=noise,
        good=all_good,
        discount=all_discount,
        bias=level + slope * z + shift * quotes.forward_slope,
        error=all_error,
        cross=copies[0],
        count=copies[1],
        correlation=copies[2],
        atm_error=problem.atm_error(*solution) * settings.inflation,
        seen=_overlapping(quotes, settings.min_overlap),
        rounds=settings.rounds,
    )


def _overlapping(quotes: VenueQuotes, least: int) -> BoolArray:
    counts = np.zeros((len(quotes.venues), quotes.expiry_ns.size), dtype=np.int64)
    np.add.at(counts, (quotes.venue, quotes.expiry), 1)
    enough = counts >= least
    return np.asarray(enough & (enough.sum(axis=0) >= 2))


def typical_half_spread(quotes: VenueQuotes, z: FloatArray, before: BiasState | None) -> FloatArray:
    """Median half-spread of each venue near the money; what is remembered follows it within days."""
    known = {} if before is None else dict(zip(before.venues, before.half_spread.tolist(), strict=True))
    days = 0.0 if before is None else (quotes.ts_ns - before.ts_ns) / NS_PER_DAY
    share = 1.0 - float(np.exp(-max(days, 0.0)))
    half = np.full(len(quotes.venues), np.nan)
    for v, name in enumerate(quotes.venues):
        mine = quotes.venue == v
        near = mine & (np.abs(z) <= 1.0)
        if mine.any():
            half[v] = float(np.median(quotes.half_spread[near if near.any() else mine]))
        if name in known:
            half[v] = known[name] if np.isnan(half[v]) else known[name] + share * (half[v] - known[name])
    return np.where(np.isnan(half), np.nanmedian(half), half)


def _prior(
    quotes: VenueQuotes,
    half: FloatArray,
    spread: FloatArray | None,
    settings: FusionSettings,
    before: BiasState | None,
    discount: FloatArray | None = None,
    forget: Collection[str] = (),
) -> BiasState:
    share = np.ones(len(quotes)) if discount is None else discount
    information = np.zeros(len(quotes.venues))
    np.add.at(information, quotes.venue, share / quotes.variance)
    return carry_over(
        before,
        ts_ns=quotes.ts_ns,
        venues=quotes.venues,
        expiry_ns=quotes.expiry_ns,
        half_spread=half,
        forward_error=quotes.forward_error,
        settings=settings,
        spread=spread,
        information=information,
        forget=forget,
    )


def _between_expiries(
    mean: FloatArray, covariance: FloatArray, prior: BiasState, half: FloatArray, seen: BoolArray
) -> FloatArray:
    """Spread of levels and of slopes between a venue's expiries, in half-spreads."""
    slots = bias_state.positions(half.size, seen.shape[1])
    spread = prior.expiry_spread.copy()
    before = np.diag(prior.covariance)
    after = np.diag(covariance)
    for part in (0, 1):
        at = slots[:, 1:, part]
        counts = seen & (before[at] > 0.0)
        if not counts.any():
            continue
        unit = np.broadcast_to(half[:, None], seen.shape)[counts]
        known = 1.0 - after[at][counts] / before[at][counts]
        square = float(np.sum((mean[at][counts] / unit) ** 2))
        effective = max(float(known.sum()), 1e-3)
        spread[part] = np.clip(np.sqrt(square / effective), _LEAST_SPREAD, _MOST_SPREAD)
    return spread
