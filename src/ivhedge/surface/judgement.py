"""What a model made of each quote it was given: the same question for the backbone and the flexible layer."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.market import QuoteVols
from ivhedge.surface.calibrate import Calibration
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.flexible import FlexibleFit, FlexibleQuotes, SliceStatus
from ivhedge.surface.selection import QuoteSelection, SelectionReason, SelectionRules

__all__ = ["QuoteJudgement", "judged_by_essvi", "judged_by_flexible"]

REJECTED = 0.01
"""A quote with less robust weight than this counts as rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteJudgement:
    """Quotes that a model was given, what it made of them, and how the fit ended.

    Parameters
    ----------
    rows : IntArray, shape (q,)
        Their rows in the `QuoteVols`, ordered by expiry and log-moneyness.
    fitted_vol : FloatArray, shape (q,)
        Vol of the model, decimal.
    information : FloatArray, shape (q,)
        Weight of a squared error before robust weights; 0 for quotes that are bounds, not values.
    robust_weight : FloatArray, shape (q,)
        Between 0 and 1.
    expiries : IntArray, shape (n,)
    status : tuple of str
        How each expiry was fitted.
    left_out : dict of str to int
        Number of clean quotes not given to the model, by reason.
    iterations, rounds : int
    converged, warm : bool
    reason : str
    """

    rows: IntArray
    fitted_vol: FloatArray
    information: FloatArray
    robust_weight: FloatArray
    expiries: IntArray
    status: tuple[str, ...]
    left_out: dict[str, int]
    iterations: int
    rounds: int
    converged: bool
    warm: bool
    reason: str

    @property
    def rejected(self) -> BoolArray:
        """Quotes that the model does not believe."""
        return np.asarray(self.robust_weight < REJECTED)


def judged_by_essvi(
    quotes: QuoteVols, selection: QuoteSelection, calibration: Calibration, surface: EssviSurface
) -> QuoteJudgement:
    """Collect what the backbone made of the selected quotes and of the bounds beside them."""
    packed, bounds = selection.packed, selection.bound_rows
    rows = np.concatenate((selection.rows, bounds))
    taus = np.concatenate((packed.taus[packed.owner], quotes.tau[bounds]))
    parts = [
        f"minimum reached after {calibration.rounds} rounds"
        if calibration.converged
        else f"stopped after {calibration.rounds} rounds before the minimum"
    ]
    doubtful = _doubtful(packed.offsets, calibration.robust_weight < REJECTED)
    return QuoteJudgement(
        rows=rows,
        fitted_vol=surface.implied_vol(quotes.log_moneyness[rows], taus),
        information=np.concatenate((packed.weight**2, np.zeros(bounds.size))),
        robust_weight=np.concatenate((calibration.robust_weight, np.ones(bounds.size))),
        expiries=selection.expiries,
        status=("essvi",) * selection.expiries.size,
        left_out=_outside(selection.left_out, quotes, bounds),
        iterations=calibration.iterations,
        rounds=calibration.rounds,
        converged=calibration.converged,
        warm=calibration.warm,
        reason="; ".join(parts + doubtful),
    )


def _outside(left_out: dict[str, int], quotes: QuoteVols, bounds: IntArray) -> dict[str, int]:
    """What was left out, less the bounds that were not."""
    one_sided = ~quotes.is_two_sided[bounds]
    one_tick = ~one_sided & quotes.at_one_tick[bounds]
    used = {
        SelectionReason.ONE_SIDED.value: int(one_sided.sum()),
        SelectionReason.ONE_TICK.value: int(one_tick.sum()),
        SelectionReason.TOO_WIDE.value: int((~one_sided & ~one_tick).sum()),
    }
    counts = {reason: count - used.get(reason, 0) for reason, count in left_out.items()}
    return {reason: count for reason, count in counts.items() if count}


def judged_by_flexible(
    quotes: QuoteVols,
    selection: QuoteSelection,
    calibration: Calibration,
    bands: FlexibleQuotes,
    fit: FlexibleFit,
    rules: SelectionRules,
) -> QuoteJudgement:
    """Collect what the flexible layer made of its bands, which `rules` had chosen."""
    information = np.zeros(len(quotes))
    information[selection.rows] = selection.packed.weight**2
    bare = np.array([status is not SliceStatus.FITTED for status in fit.status])
    # Quotes that no fit of their own has judged are not rejected.
    judged = fit.used | np.repeat(bare, np.diff(bands.offsets))
    if bare.all():
        parts = [f"no expiry has a fit of its own ({fit.status[0].value})"]
    else:
        parts = [
            f"flexible layer solved in {sum(fit.iterations)} steps"
            if fit.converged
            else "the flexible layer stopped before its tolerance: not the best fit"
        ]
        if bare.any():
            parts.append(f"expiries with the backbone's density: {int(bare.sum())}")
    if not calibration.converged:
        parts.append("the backbone stopped before its minimum")
    return QuoteJudgement(
        rows=bands.source,
        fitted_vol=fit.fitted_vol,
        information=information[bands.source],
        robust_weight=judged.astype(np.float64),
        expiries=bands.expiries,
        status=tuple(status.value for status in fit.status),
        left_out=_outside_bands(quotes, bands.source, rules),
        iterations=sum(fit.iterations),
        rounds=len(fit.iterations),
        converged=fit.converged,
        warm=calibration.warm,
        reason="; ".join(parts + _doubtful(bands.offsets, ~judged)),
    )


def _outside_bands(quotes: QuoteVols, source: IntArray, rules: SelectionRules) -> dict[str, int]:
    """Count the quotes that are no band, by the first reason that holds."""
    left = np.ones(len(quotes), dtype=np.bool_)
    left[source] = False
    reasons = {
        SelectionReason.TOO_SHORT.value: quotes.expiry_ns - quotes.ts_ns < rules.min_hours * NS_PER_HOUR,
        SelectionReason.IN_THE_MONEY.value: ~quotes.is_otm,
        "no_vol": ~(np.isfinite(quotes.bid_iv) | np.isfinite(quotes.ask_iv)),
        "crossed_vols": quotes.bid_iv > quotes.ask_iv,
        # What is left was too old.
        SelectionReason.NO_WEIGHT.value: left.copy(),
    }
    counts = {}
    for reason, holds in reasons.items():
        count = int((left & holds).sum())
        if count:
            counts[reason] = count
        left &= ~holds
    return counts


def _doubtful(offsets: IntArray, rejected: BoolArray) -> list[str]:
    counts = np.maximum(np.diff(offsets), 1)
    share = np.diff(np.concatenate(([0], np.cumsum(rejected)))[offsets]) / counts
    doubtful = int((share > 0.3).sum())
    if not doubtful:
        return []
    return [f"expiries with over 30 % of their quotes rejected: {doubtful}; check their forwards"]
