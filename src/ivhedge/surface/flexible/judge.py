"""Which quotes are believed: judged against the backbone, then against stiff fits of each expiry."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing import implied_vol
from ivhedge.surface.essvi import essvi_total_variance
from ivhedge.surface.flexible._assembly import Stage, Workspace, assemble_program
from ivhedge.surface.flexible._judging import judge_rows
from ivhedge.surface.flexible.program import Solution, State, no_cuts, solve
from ivhedge.surface.flexible.quotes import FlexibleQuotes
from ivhedge.surface.flexible.result import FlexibleSettings

__all__ = ["Judgement", "backbone_vols", "fitted_prices", "judge", "judge_again", "judged"]

TOLERANCE = 1e-3
"""Of the solves that quotes are judged against, in half-spreads."""
NEAR = 0.75
"""Distance from an earlier fit, in half-spreads, that half of an expiry's mids must keep for it to judge."""
NEARLY_HELD = 2.0
"""Half-spreads of the price by which a fit may miss a bound that is only doubted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Which quotes are used, the noise of the mids in half-spreads, and the solves.

    Those `doubted` are not used, but the final program may show that they fit with all others.
    """

    used: BoolArray
    doubted: BoolArray
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
    trust, used, noise = judged(quotes, backbone_vols(quotes, work.slices), local=True)
    solutions: list[Solution] = []
    for number in range(settings.judge_rounds):
        smoothness = settings.judge_smoothness / settings.judge_release**number
        stage = Stage(penalty=settings.judge_penalty, smoothness=smoothness)
        program = assemble_program(quotes, work, trust * able * quotes.reliance, noise, stage)
        start = starts[number] if number < len(starts) else solutions[-1].state()
        solutions.append(solve(program, no_cuts(n, m), start, softer=0, tolerance=TOLERANCE))
        vol = fitted_vols(quotes, work, np.maximum(solutions[-1].x, 0.0), settings.mix)
        trust, used, _ = judged(quotes, vol, local=False)
    doubted = able & ~used & _nearly_held(quotes, work, np.maximum(solutions[-1].x, 0.0), settings.mix)
    return Judgement(used=used & able, doubted=doubted, noise=noise, solutions=tuple(solutions))


def judge_again(
    quotes: FlexibleQuotes, work: Workspace, able: BoolArray, x: FloatArray, noise: FloatArray, mix: float
) -> Judgement | None:
    """Judge the quotes against an earlier fit, if they moved little since then.

    Parameters
    ----------
    quotes, work, able
    x : FloatArray, shape (n, m)
        Answer of the earlier fit.
    noise : FloatArray, shape (n,)
        As it was found then: what is left to a fit that follows the mids says less about it.
    mix : float

    Returns
    -------
    Judgement or None
        None where the mids of an expiry lie too far from the earlier fit.
    """
    vol = fitted_vols(quotes, work, np.maximum(x, 0.0), mix)
    _, used, _ = judged(quotes, vol, local=False)
    pulled, owner, n = ~np.isnan(quotes.mid_vol), quotes.owner, quotes.taus.size
    # A vol that does not exist is far.
    close = np.abs(quotes.mid_vol - vol) <= 0.5 * NEAR * np.maximum(quotes.ask_vol - quotes.bid_vol, 1e-4)
    far = np.bincount(owner[pulled & ~close], minlength=n)
    if (2 * far > np.bincount(owner[pulled], minlength=n)).any():
        return None
    doubted = able & ~used & _nearly_held(quotes, work, np.maximum(x, 0.0), mix)
    return Judgement(used=used & able, doubted=doubted, noise=noise, solutions=())


def judged(
    quotes: FlexibleQuotes, vol: FloatArray, *, local: bool
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Trust in the quotes and which to believe, given a reference, and the noise of the mids per expiry.

    `local` moves the reference to where most mids lie.
    """
    trust, used, noise = np.empty(vol.size), np.empty(vol.size, dtype=np.bool_), np.empty(quotes.taus.size)
    judge_rows(
        quotes.offsets,
        quotes.log_moneyness,
        quotes.bid_vol,
        quotes.ask_vol,
        quotes.mid_vol,
        vol,
        local,
        trust,
        used,
        noise,
    )
    return trust, used, noise


def _nearly_held(quotes: FlexibleQuotes, work: Workspace, x: FloatArray, mix: float) -> BoolArray:
    """Two-sided bounds that the fitted price misses by little.

    Far from the money a tick is many vol points: a bid of one tick there says little in price and much in
    vol, and no distance in vol tells a real one from a bad one.
    """
    price = fitted_prices(quotes, work, x, mix)
    bound = np.isnan(quotes.mid_vol) & np.isfinite(work.bid) & np.isfinite(work.ask)
    return np.asarray(bound & (np.maximum(work.bid - price, price - work.ask) <= NEARLY_HELD))


def backbone_vols(quotes: FlexibleQuotes, slices: FloatArray) -> FloatArray:
    """Vols of the backbone at the quotes."""
    owner = quotes.owner
    variance = essvi_total_variance(quotes.log_moneyness, *slices[owner].T)
    return np.asarray(np.sqrt(variance / quotes.taus[owner]))


def fitted_vols(quotes: FlexibleQuotes, work: Workspace, x: FloatArray, mix: float) -> FloatArray:
    """Fitted vols at the quotes."""
    price, k = fitted_prices(quotes, work, x, mix) * work.half, quotes.log_moneyness
    return implied_vol(price, 1.0, np.exp(k), quotes.taus[quotes.owner], k >= 0.0)


def fitted_prices(quotes: FlexibleQuotes, work: Workspace, x: FloatArray, mix: float) -> FloatArray:
    """Fitted prices at the quotes, in half-spreads."""
    own = np.einsum("qm,qm->q", work.rows, x[quotes.owner])
    return np.asarray((1.0 - mix) * own + mix * work.backbone)
