"""Fit of a flexible surface: judge the quotes, solve, judge again, solve with cuts, mix."""

import numpy as np

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing import implied_vol
from ivhedge.surface.certificate import certify
from ivhedge.surface.essvi import EssviSurface, essvi_total_variance
from ivhedge.surface.flexible._assembly import Stage, Workspace, assemble_program, workspace
from ivhedge.surface.flexible.basis import kernel_basis, projected_weights
from ivhedge.surface.flexible.calendar import (
    MARGIN,
    CalendarGrid,
    calendar_grid,
    cuts_at,
    deepest_points,
    lowest_rise,
    needed_mix,
    rises,
)
from ivhedge.surface.flexible.program import Solution, solve
from ivhedge.surface.flexible.quotes import FlexibleQuotes, noise_level, residuals, trust_in
from ivhedge.surface.flexible.result import FlexibleFit, FlexibleSettings, SliceStatus
from ivhedge.surface.flexible.surface import FlexibleSurface

__all__ = ["fit_flexible"]

FIRST_CUTS_SD = 5.0
WARM_GAP = 0.1


def fit_flexible(
    quotes: FlexibleQuotes, backbone: EssviSurface, settings: FlexibleSettings | None = None
) -> FlexibleFit:
    """Fit kernel mixtures to the bands of all expiries at once, free of static arbitrage.

    Parameters
    ----------
    quotes : FlexibleQuotes
    backbone : EssviSurface
        A robust, arbitrage-free surface of the same quotes: prior, judge of quotes, and wings.
    settings : FlexibleSettings, optional

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
    basis = kernel_basis(np.sqrt(slices[:, 0]), settings.basis)
    prior = projected_weights(basis, *slices.T)
    work = workspace(quotes, basis, slices, prior, settings.tail, settings.mix)
    z = np.linspace(-settings.grid_sd, settings.grid_sd, settings.grid_points)
    grid = calendar_grid(basis, work.scale, slices, z)
    able, status = _able(quotes, settings)
    trust, used, noise = _judged(quotes, _backbone_vols(quotes, slices), coherent=True)
    points = [_first_points(z)] * (quotes.taus.size - 1)
    iterations: list[int] = []
    margin = np.full(max(quotes.taus.size - 1, 0), MARGIN)
    start, start_gap = work.prior / work.scale, 1.0
    for number in range(settings.judge_rounds):
        # Stiff at first, then freer: real detail comes back, and bad quotes, no longer trusted, do not.
        smoothness = settings.judge_smoothness / settings.judge_release**number
        stage = Stage(penalty=settings.judge_penalty, smoothness=smoothness)
        program = assemble_program(quotes, work, trust * able, noise, stage)
        solution = solve(program, cuts_at(grid, points, margin), start, start_gap=start_gap, tolerance=1e-3)
        iterations.append(solution.iterations)
        start, start_gap = solution.x, 1.0
        vol = _fitted_vols(quotes, work, solution.x, settings.mix)
        trust, used, _ = _judged(quotes, vol, coherent=number == 0)
    used &= able
    _, points = _with_deepest(grid, work, solution.x, points, settings.mix)
    stage = Stage(penalty=settings.penalty, smoothness=settings.smoothness)
    program = assemble_program(quotes, work, trust * used, noise, stage)
    for _ in range(settings.max_cut_rounds):
        cuts = cuts_at(grid, points, margin)
        solution = solve(program, cuts, start, start_gap=start_gap, tolerance=settings.tolerance)
        iterations.append(solution.iterations)
        rise, added = _with_deepest(grid, work, solution.x, points, settings.mix)
        mixed = (1.0 - settings.mix) * lowest_rise(rise) + settings.mix * grid.backbone_rise
        falls = (mixed < 0.0).any(axis=1)
        if not falls.any():
            break
        # Where the grid has no strike left to add, its cuts are made to ask for more.
        same = np.array([a.size == p.size for a, p in zip(added, points, strict=True)])
        margin = np.where(falls & same, 4.0 * margin, margin)
        points, start, start_gap = added, solution.x, WARM_GAP
    mix = needed_mix(lowest_rise(rise), grid.backbone_rise, settings.mix)
    weight = _normalised(work, solution.x)
    if not _is_law(work, weight):
        return _backbone_only(quotes, work, backbone, settings, tuple(iterations))
    surface, certified = _certified(quotes, work, weight, mix, backbone, settings)
    fitted = _fitted_vols(quotes, work, weight / work.scale, surface.mix)
    return FlexibleFit(
        surface=surface,
        status=status,
        mix=surface.mix,
        used=used,
        inside=_inside(quotes, work, weight, surface.mix),
        fitted_vol=fitted,
        noise=noise,
        iterations=tuple(iterations),
        active_cuts=_active(solution, points),
        converged=solution.gap < settings.tolerance,
        certified=certified,
    )


def _is_law(work: Workspace, weight: FloatArray) -> bool:
    sums = np.stack((weight.sum(axis=1), (weight * work.basis.mean).sum(axis=1)))
    return bool(np.isfinite(sums).all() and np.abs(sums - 1.0).max() < 1e-9)


def _backbone_only(
    quotes: FlexibleQuotes,
    work: Workspace,
    backbone: EssviSurface,
    settings: FlexibleSettings,
    iterations: tuple[int, ...],
) -> FlexibleFit:
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
    vol = _backbone_vols(quotes, work.slices)
    return FlexibleFit(
        surface=surface,
        status=(SliceStatus.NOT_SOLVED,) * n,
        mix=1.0,
        used=np.zeros(vol.size, dtype=np.bool_),
        inside=~((vol < quotes.bid_vol - 1e-12) | (vol > quotes.ask_vol + 1e-12)),
        fitted_vol=vol,
        noise=np.ones(n),
        iterations=iterations,
        active_cuts=np.zeros(max(n - 1, 0), dtype=np.int64),
        converged=False,
        certified=settings.certify and certify(surface).valid,
    )


def _with_deepest(
    grid: CalendarGrid, work: Workspace, x: FloatArray, points: list[IntArray], mix: float
) -> tuple[FloatArray, list[IntArray]]:
    """Rises of a solution, and the points with those added where prices fall."""
    rise = rises(grid, _normalised(work, x) / work.scale)
    more = deepest_points((1.0 - mix) * lowest_rise(rise) + mix * grid.backbone_rise)
    return rise, [np.union1d(old, new) for old, new in zip(points, more, strict=True)]


def _first_points(z: FloatArray) -> IntArray:
    """Every half deviation near the money and every second one outside."""
    inner = np.arange(-FIRST_CUTS_SD, FIRST_CUTS_SD + 0.1, 0.5)
    wanted = np.concatenate((np.arange(-12.0, -FIRST_CUTS_SD, 1.0), inner, np.arange(6.0, 12.1, 1.0)))
    return np.unique(np.clip(np.searchsorted(z, wanted), 0, z.size - 1))


def _able(quotes: FlexibleQuotes, settings: FlexibleSettings) -> tuple[BoolArray, tuple[SliceStatus, ...]]:
    able, status = np.zeros(quotes.log_moneyness.size, dtype=np.bool_), []
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        enough = int(np.isfinite(quotes.mid_vol[rows]).sum()) >= settings.min_quotes
        able[rows] = enough
        status.append(SliceStatus.FITTED if enough else SliceStatus.BACKBONE)
    return able, tuple(status)


def _owner(quotes: FlexibleQuotes) -> IntArray:
    return np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))


def _backbone_vols(quotes: FlexibleQuotes, slices: FloatArray) -> FloatArray:
    owner = _owner(quotes)
    variance = essvi_total_variance(quotes.log_moneyness, *slices[owner].T)
    return np.asarray(np.sqrt(variance / quotes.taus[owner]))


def _judged(
    quotes: FlexibleQuotes, vol: FloatArray, *, coherent: bool
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Trust in the quotes and which to believe, given a reference, and the noise of the mids per expiry."""
    trust, used, noise = np.ones(vol.size), np.ones(vol.size, dtype=np.bool_), np.ones(quotes.taus.size)
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        distance, half = residuals(quotes, rows, vol[rows])
        trust[rows], used[rows] = trust_in(distance, half, coherent=coherent)
        pulled = used[rows] & np.isfinite(quotes.mid_vol[rows])
        noise[e] = noise_level(distance[pulled], half[pulled])
    return trust, used, noise


def _prices(quotes: FlexibleQuotes, work: Workspace, weight: FloatArray, mix: float) -> FloatArray:
    """Fitted prices in half-spreads."""
    own = (weight / work.scale)[_owner(quotes)]
    return np.asarray((1.0 - mix) * np.einsum("qm,qm->q", work.rows, own) + mix * work.backbone)


def _fitted_vols(quotes: FlexibleQuotes, work: Workspace, x: FloatArray, mix: float) -> FloatArray:
    k, owner = quotes.log_moneyness, _owner(quotes)
    price = _prices(quotes, work, x * work.scale, mix) * work.half
    return implied_vol(price, 1.0, np.exp(k), quotes.taus[owner], k >= 0.0)


def _inside(quotes: FlexibleQuotes, work: Workspace, weight: FloatArray, mix: float) -> BoolArray:
    price = _prices(quotes, work, weight, mix)
    # The bands of the program are those of the price without the least share of the backbone.
    low, high = work.bid, work.ask
    return np.asarray((price >= low - 1e-6) & (price <= high + 1e-6))


def _normalised(work: Workspace, x: FloatArray) -> FloatArray:
    """Weights that add to 1 with mean 1 to the last digit, from nearly such ones."""
    weight = x * work.scale
    mean = work.basis.mean
    for _ in range(2):
        first, second = (weight * mean).sum(axis=1), (weight * mean * mean).sum(axis=1)
        total = weight.sum(axis=1)
        spread = second - first * first / total
        tilt = (1.0 - first / total) / np.maximum(spread / total, 1e-300) / total
        centred = mean - (first / total)[:, None]
        weight = np.maximum(weight / total[:, None] * (1.0 + tilt[:, None] * centred), 0.0)
    return np.asarray(weight)


def _active(solution: Solution, points: list[IntArray]) -> IntArray:
    counts = np.array([len(p) for p in points], dtype=np.int64)
    binding = solution.cut_multipliers > 1e-3
    owner = np.repeat(np.arange(counts.size), counts)
    return np.bincount(owner[binding], minlength=counts.size).astype(np.int64)


def _certified(
    quotes: FlexibleQuotes,
    work: Workspace,
    weight: FloatArray,
    mix: float,
    backbone: EssviSurface,
    settings: FlexibleSettings,
) -> tuple[FlexibleSurface, bool]:
    """Build the surface; raise the mix until the certificate holds."""
    while True:
        surface = FlexibleSurface(
            weight=weight,
            mean=work.basis.mean,
            width=work.basis.width,
            mix=mix,
            backbone=backbone,
            expiries=quotes.expiries,
            taus=quotes.taus,
        )
        if not settings.certify:
            return surface, False
        if certify(surface).valid:
            return surface, True
        if mix >= 1.0:
            return surface, False
        mix = min(1.0, 4.0 * mix)
