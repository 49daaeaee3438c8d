"""Which quotes are believed: judged against the backbone, then against stiff fits of each expiry."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing import implied_vol
from ivhedge.surface.essvi import essvi_total_variance
from ivhedge.surface.flexible._assembly import Stage, Workspace, assemble_program
from ivhedge.surface.flexible.program import Solution, State, no_cuts, solve
from ivhedge.surface.flexible.quotes import FlexibleQuotes, local_reference, noise_level, residuals, trust_in
from ivhedge.surface.flexible.result import FlexibleSettings

__all__ = ["Judgement", "backbone_vols", "fitted_prices", "fitted_vols", "judge", "owner_of"]

TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Trust in the quotes between 0 and 1, which are used, the noise of the mids, and the solves."""

    trust: FloatArray
    used: BoolArray
    noise: FloatArray
    solutions: tuple[Solution, ...]


def judge(
    quotes: FlexibleQuotes,
    work: Workspace,
    able: BoolArray,
    settings: FlexibleSettings,
    starts: tuple[State, ...],
) -> Judgement:
    """Judge the quotes.

    Expiries are fitted one by one, stiff at first, then freer: real detail comes back, and bad quotes, no
    longer trusted, do not. Each solve begins at its own of the `starts`, the last of which is repeated.
    """
    n, m = work.scale.shape
    trust, used, noise = _judged(quotes, backbone_vols(quotes, work.slices), first=True)
    solutions: list[Solution] = []
    for number in range(settings.judge_rounds):
        smoothness = settings.judge_smoothness / settings.judge_release**number
        stage = Stage(penalty=settings.judge_penalty, smoothness=smoothness)
        program = assemble_program(quotes, work, trust * able * quotes.reliance, noise, stage)
        start = starts[number] if number < len(starts) else solutions[-1].state()
        solutions.append(solve(program, no_cuts(n, m), start, softer=0, tolerance=TOLERANCE))
        vol = fitted_vols(quotes, work, np.maximum(solutions[-1].x, 0.0), settings.mix)
        trust, used, _ = _judged(quotes, vol, first=False)
    return Judgement(trust=trust, used=used & able, noise=noise, solutions=tuple(solutions))


def _judged(
    quotes: FlexibleQuotes, vol: FloatArray, *, first: bool
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Trust in the quotes and which to believe, given a reference, and the noise of the mids per expiry.

    The first reference is moved to where most mids lie.
    """
    trust, used, noise = np.ones(vol.size), np.ones(vol.size, dtype=np.bool_), np.ones(quotes.taus.size)
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        reference = local_reference(quotes, rows, vol[rows]) if first else vol[rows]
        distance, half = residuals(quotes, rows, reference)
        trust[rows], used[rows] = trust_in(distance, half, reference)
        if first:
            pulled = used[rows] & np.isfinite(quotes.mid_vol[rows])
            noise[e] = noise_level(distance[pulled], half[pulled])
    return trust, used, noise


def owner_of(quotes: FlexibleQuotes) -> IntArray:
    """Expiry number of each quote."""
    return np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))


def backbone_vols(quotes: FlexibleQuotes, slices: FloatArray) -> FloatArray:
    """Vols of the backbone at the quotes."""
    owner = owner_of(quotes)
    variance = essvi_total_variance(quotes.log_moneyness, *slices[owner].T)
    return np.asarray(np.sqrt(variance / quotes.taus[owner]))


def fitted_prices(quotes: FlexibleQuotes, work: Workspace, x: FloatArray, mix: float) -> FloatArray:
    """Fitted prices in half-spreads."""
    own = np.einsum("qm,qm->q", work.rows, x[owner_of(quotes)])
    return np.asarray((1.0 - mix) * own + mix * work.backbone)


def fitted_vols(quotes: FlexibleQuotes, work: Workspace, x: FloatArray, mix: float) -> FloatArray:
    """Fitted vols at the quotes."""
    k, tau = quotes.log_moneyness, quotes.taus[owner_of(quotes)]
    return implied_vol(fitted_prices(quotes, work, x, mix) * work.half, 1.0, np.exp(k), tau, k >= 0.0)
