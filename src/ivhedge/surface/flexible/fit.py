"""Fit of a flexible surface: judge the quotes, solve, add calendar cuts where prices fall, mix."""

from dataclasses import replace

import numpy as np

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.flexible._assembly import Stage, Workspace, assemble_program, workspace
from ivhedge.surface.flexible._warm import beginning, kept_basis
from ivhedge.surface.flexible._weights import make_laws
from ivhedge.surface.flexible.basis import kernel_basis, projected_weights
from ivhedge.surface.flexible.calendar import CalendarSearch
from ivhedge.surface.flexible.judge import Judgement, backbone_vols, fitted_prices, judge, judge_again
from ivhedge.surface.flexible.program import Program, Solution, State, objective, solve
from ivhedge.surface.flexible.proof import FlexibleProof, least_mix, prove
from ivhedge.surface.flexible.quotes import FlexibleQuotes
from ivhedge.surface.flexible.result import FitMemory, FlexibleFit, FlexibleSettings, SliceStatus
from ivhedge.surface.flexible.surface import FlexibleSurface

__all__ = ["EDGE", "backbone_instead", "fit_flexible"]

SOFTER = (0, 2, 1)
"""Softer rounds of the solver in the solves with ever more cuts."""
WIDE = 3.0
WIDE_SHARES = (1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 4e-4, 6e-4, 1e-3)
"""Deviation of the law that restores the order in the far wings, over that at the money, and its shares."""
MOST_MIX = 0.05
"""A proof that needs a larger share of the backbone is not worth what it costs in fit."""
EDGE = 1e-9
"""Vol within which a fitted vol on bid or ask counts as inside: rounding of the inversion."""
DOUBTED = 0.1
"""What a doubted bound counts until the program has met it."""
MET = 1e-3
"""Half-spreads by which a band that counts as met may be missed."""
CUT_TOLERANCE = 1e-4
"""Of the rise of cuts, over the later price; they ask for more than that."""


def fit_flexible(
    quotes: FlexibleQuotes,
    backbone: EssviSurface,
    settings: FlexibleSettings | None = None,
    *,
    start: FlexibleFit | None = None,
) -> FlexibleFit:
    """Fit kernel mixtures to the bands of all expiries at once, free of static arbitrage.

    Parameters
    ----------
    quotes : FlexibleQuotes
    backbone : EssviSurface
        A robust, arbitrage-free surface of the same quotes: prior, judge of quotes, and wings.
    settings : FlexibleSettings, optional
    start : FlexibleFit, optional
        An earlier fit of nearly the same quotes. Solves begin at its answers, and expiries that it lacks at
        the backbone. Where the at-the-money deviations moved by less than 1 %, kernels and prior stay. Where
        the mids of every expiry lie within 0.75 half-spreads of it in the median, it judges the quotes
        itself, which saves the solves that would; `FlexibleFit.judged_again` says so. Bad quotes that it
        believed stay believed then: now and then fit without it.

    Returns
    -------
    FlexibleFit

    Raises
    ------
    CalibrationError
        If the backbone does not rise in time at the money at these expiries.
    """
    settings = settings or FlexibleSettings()
    slices = np.column_stack(backbone.slice_parameters(quotes.taus))
    if not (slices[:, 0] > 0.0).all() or (np.diff(slices[:, 0]) < 0.0).any():
        raise CalibrationError("expected a backbone whose total variance at the money rises in time")
    deviation = np.sqrt(slices[:, 0])
    kept = kept_basis(quotes.expiries, deviation, settings.basis, start)
    if kept is None:
        basis = kernel_basis(deviation, settings.basis)
        kept = basis, projected_weights(basis, *slices.T)
    basis, prior = kept
    work = workspace(quotes, basis, slices, prior, settings.tail, settings.mix)
    able, status = _able(quotes, settings)
    begin = beginning(quotes, work, start)
    judgement = None
    if start is not None and begin.near and start.converged and start.noise.size == quotes.taus.size:
        judgement = judge_again(quotes, work, able, begin.states[-1].x, start.noise, settings.mix)
    again = judgement is not None
    if judgement is None:
        judgement = judge(quotes, work, able, settings, begin.states)
    stage = Stage(penalty=settings.penalty, smoothness=settings.smoothness)
    # Those believed are believed in full: trust below 1 would let the price leave a band for smoothness.
    believed = np.where(judgement.doubted, DOUBTED, judgement.used) * quotes.reliance
    program = assemble_program(quotes, work, believed, judgement.noise, stage)
    search = CalendarSearch(basis, work.scale, slices, settings.mix)
    search.recall(begin.cuts)
    first = begin.states[-1] if begin.near else judgement.solutions[-1].state()
    solution, iterations = _solve_with_cuts(program, search, work, first, begin.near, settings)
    used = judgement.used
    if judgement.doubted.any():
        used, dropped = _accepted(quotes, work, judgement, solution, settings.mix)
        if dropped:
            program = assemble_program(quotes, work, used * quotes.reliance, judgement.noise, stage)
            state = solution.state(np.empty(0))
            solution, more = _solve_with_cuts(program, search, work, state, True, settings)
            iterations += more
    weight = _law(work, solution.x)
    if not _is_law(work, weight):
        return _backbone_only(quotes, work, backbone)
    surface, proof, wide = _proven(
        work, quotes, weight, backbone, settings.mix, start.wide if again and start else 0.0
    )
    fitted = surface.implied_vol(quotes.log_moneyness, quotes.taus[quotes.owner])
    judges = begin.states[:-1] if again else tuple(s.state() for s in judgement.solutions)
    return FlexibleFit(
        surface=surface,
        status=status,
        mix=surface.mix,
        used=used,
        inside=_held(quotes, fitted),
        fitted_vol=fitted,
        noise=judgement.noise,
        iterations=tuple(int(s.steps.sum()) for s in judgement.solutions) + iterations,
        active_cuts=_active(solution, search.cuts().offsets),
        converged=bool(solution.solved.all()),
        proof=proof,
        wide=wide,
        objective=objective(program, np.maximum(solution.x, 0.0)),
        judged_again=again,
        memory=FitMemory(
            expiries=quotes.expiries,
            offsets=work.stacked_offsets,
            states=(*judges, solution.state(np.empty(0))),
            cuts=search.memory(),
            basis=basis,
            prior=prior,
        ),
    )


def _accepted(
    quotes: FlexibleQuotes, work: Workspace, judgement: Judgement, solution: Solution, mix: float
) -> tuple[BoolArray, bool]:
    """Quotes that are used in the end, and whether a doubted one is not.

    The program is the judge: a doubted bound is accepted where it is met at a low price for missing it, and
    no believed band of its expiry is left.
    """
    price = fitted_prices(quotes, work, np.maximum(solution.x, 0.0), mix)
    met = (price >= work.bid - MET) & (price <= work.ask + MET)
    owner = quotes.owner
    left = np.bincount(owner, judgement.used & ~met, minlength=quotes.taus.size) > 0
    accepted = judgement.doubted & met & ~left[owner]
    return judgement.used | accepted, bool((judgement.doubted & ~accepted).any())


def _solve_with_cuts(
    program: Program,
    search: CalendarSearch,
    work: Workspace,
    start: State,
    near: bool,
    settings: FlexibleSettings,
) -> tuple[Solution, tuple[int, ...]]:
    """Solve, look for strikes where prices fall, add cuts there, and again."""
    iterations = []
    state = State(x=start.x, multipliers=start.multipliers, cut_multipliers=search.multipliers())
    for number in range(settings.max_cut_rounds):
        solution = solve(
            program,
            search.cuts(),
            state,
            softer=0 if near else SOFTER[min(number, 2)],
            tolerance=settings.tolerance,
            cut_tolerance=CUT_TOLERANCE,
        )
        iterations.append(int(solution.steps.sum()))
        search.keep(solution.cut_multipliers)
        search.refine(_law(work, solution.x) / work.scale)
        if number == settings.max_cut_rounds - 1 or not search.ask():
            break
        state = solution.state(search.multipliers())
    return solution, tuple(iterations)


def _law(work: Workspace, x: FloatArray) -> FloatArray:
    """Weights that add to 1 with mean 1 to the last digit, from nearly such ones."""
    weight = np.asarray(x * work.scale)
    make_laws(weight, work.basis.mean)
    return weight


def _is_law(work: Workspace, weight: FloatArray) -> bool:
    sums = np.stack((weight.sum(axis=1), (weight * work.basis.mean).sum(axis=1)))
    return bool(np.isfinite(sums).all() and np.abs(sums - 1.0).max() < 1e-9)


def backbone_instead(quotes: FlexibleQuotes, fit: FlexibleFit) -> FlexibleFit:
    """The backbone itself in the form of a flexible surface, where a fit has no valid certificate."""
    surface = replace(fit.surface, mix=1.0)
    vol = backbone_vols(quotes, np.column_stack(fit.surface.backbone.slice_parameters(quotes.taus)))
    return replace(
        fit,
        surface=surface,
        status=(SliceStatus.NOT_MENDED,) * quotes.taus.size,
        mix=1.0,
        wide=0.0,
        used=np.zeros(vol.size, dtype=np.bool_),
        inside=_held(quotes, vol),
        fitted_vol=vol,
        proof=prove(surface),
        memory=None,
    )


def _held(quotes: FlexibleQuotes, vol: FloatArray) -> BoolArray:
    """Quotes whose band holds a vol; a missing side bounds nothing."""
    return ~((vol < quotes.bid_vol - EDGE) | (vol > quotes.ask_vol + EDGE))


def _backbone_only(quotes: FlexibleQuotes, work: Workspace, backbone: EssviSurface) -> FlexibleFit:
    """The backbone itself in the form of a flexible surface, where the program could not be solved."""
    n, m = work.scale.shape
    surface = FlexibleSurface(
        weight=np.full((n, m), 1.0 / m),
        mean=np.ones((n, m)),
        width=np.repeat(work.basis.deviation[:, None], m, axis=1),
        mix=1.0,
        backbone=backbone,
        expiries=quotes.expiries,
        taus=quotes.taus,
    )
    vol = backbone_vols(quotes, work.slices)
    return FlexibleFit(
        surface=surface,
        status=(SliceStatus.NOT_SOLVED,) * n,
        mix=1.0,
        used=np.zeros(vol.size, dtype=np.bool_),
        inside=_held(quotes, vol),
        fitted_vol=vol,
        noise=np.ones(n),
        iterations=(),
        active_cuts=np.zeros(max(n - 1, 0), dtype=np.int64),
        converged=False,
        proof=prove(surface),
    )


def _able(quotes: FlexibleQuotes, settings: FlexibleSettings) -> tuple[BoolArray, tuple[SliceStatus, ...]]:
    able, status = np.zeros(quotes.log_moneyness.size, dtype=np.bool_), []
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        enough = int(np.isfinite(quotes.mid_vol[rows]).sum()) >= settings.min_quotes
        able[rows] = enough
        status.append(SliceStatus.FITTED if enough else SliceStatus.BACKBONE)
    return able, tuple(status)


def _active(solution: Solution, offsets: IntArray) -> IntArray:
    binding = np.concatenate(([0], np.cumsum(solution.cut_multipliers > 1e-3)))
    return np.diff(binding[offsets]).astype(np.int64)


def _proven(
    work: Workspace,
    quotes: FlexibleQuotes,
    weight: FloatArray,
    backbone: EssviSurface,
    mix: float,
    earlier: float,
) -> tuple[FlexibleSurface, FlexibleProof, float]:
    """Build the surface, with as much of a wide law in it as the proof asks for.

    Far from the quotes prices of neighbouring expiries may touch within the solver's tolerance. A law of
    three times the deviation at the money is far dearer there than the quoted one, and its price rises
    steeply in time: a very small share restores the order. The backbone, whose wings may rise alike, would
    not. The share that an `earlier` fit needed is tried first.
    """
    bare = FlexibleSurface(
        weight=weight,
        mean=work.basis.mean,
        width=work.basis.width,
        mix=mix,
        backbone=backbone,
        expiries=quotes.expiries,
        taus=quotes.taus,
    )
    if earlier > 0.0:
        surface = _with_wide_law(bare, work.basis.deviation, earlier)
        proof = prove(surface)
        if proof.proven:
            return surface, proof, earlier
    proof = first = prove(bare)
    for share in WIDE_SHARES:
        if proof.proven:
            return bare, proof, 0.0
        surface = _with_wide_law(bare, work.basis.deviation, share)
        proof = prove(surface)
        if proof.proven:
            return surface, proof, share
    needed = least_mix(bare) * (1.0 + 1e-9)
    # Expiries that touch may need all of the backbone for a proof; the dense check decides about those.
    if needed <= MOST_MIX:
        raised = replace(bare, mix=needed)
        return raised, prove(raised), 0.0
    return bare, first, 0.0


def _with_wide_law(surface: FlexibleSurface, deviation: FloatArray, share: float) -> FlexibleSurface:
    one = np.ones((deviation.size, 1))
    return replace(
        surface,
        weight=np.hstack((surface.weight * (1.0 - share), share * one)),
        mean=np.hstack((surface.mean, one)),
        width=np.hstack((surface.width, WIDE * deviation[:, None])),
    )
