"""What a model made of each quote it was given: the same question for the backbone and the flexible layer."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.market import QuoteVols
from ivhedge.surface.calibrate import Calibration
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.flexible import FlexibleFit, FlexibleQuotes, SliceStatus
from ivhedge.surface.selection import QuoteSelection, SelectionReason

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
    selection: QuoteSelection, calibration: Calibration, surface: EssviSurface
) -> QuoteJudgement:
    """Collect what the backbone made of the selected quotes."""
    packed = selection.packed
    parts = [
        f"minimum reached after {calibration.rounds} rounds"
        if calibration.converged
        else f"stopped after {calibration.rounds} rounds before the minimum"
    ]
    doubtful = _doubtful(packed.offsets, calibration.robust_weight < REJECTED)
    return QuoteJudgement(
        rows=selection.rows,
        fitted_vol=surface.implied_vol(packed.log_moneyness, packed.taus[packed.owner]),
        information=packed.weight**2,
        robust_weight=calibration.robust_weight,
        expiries=selection.expiries,
        status=("essvi",) * selection.expiries.size,
        left_out=selection.left_out,
        iterations=calibration.iterations,
        rounds=calibration.rounds,
        converged=calibration.converged,
        warm=calibration.warm,
        reason="; ".join(parts + doubtful),
    )


def judged_by_flexible(
    quotes: QuoteVols,
    selection: QuoteSelection,
    calibration: Calibration,
    bands: FlexibleQuotes,
    fit: FlexibleFit,
) -> QuoteJudgement:
    """Collect what the flexible layer made of its bands."""
    information = np.zeros(len(quotes))
    information[selection.rows] = selection.packed.weight**2
    parts = [
        f"flexible layer solved in {sum(fit.iterations)} steps"
        if fit.converged
        else "the flexible layer stopped before its tolerance: certified, but not the best fit"
    ]
    bare = sum(status is not SliceStatus.FITTED for status in fit.status)
    if bare:
        parts.append(f"{bare} expiries carry the backbone's density")
    if not calibration.converged:
        parts.append("the backbone stopped before its minimum")
    return QuoteJudgement(
        rows=bands.source,
        fitted_vol=fit.fitted_vol,
        information=information[bands.source],
        robust_weight=fit.used.astype(np.float64),
        expiries=bands.expiries,
        status=tuple(status.value for status in fit.status),
        left_out=_outside_bands(quotes, bands.source),
        iterations=sum(fit.iterations),
        rounds=len(fit.iterations),
        converged=fit.converged,
        warm=calibration.warm,
        reason="; ".join(parts + _doubtful(bands.offsets, ~fit.used)),
    )


def _outside_bands(quotes: QuoteVols, source: IntArray) -> dict[str, int]:
    """Count the quotes that are no band, by the first reason that holds."""
    left = np.ones(len(quotes), dtype=np.bool_)
    left[source] = False
    no_vol = ~(np.isfinite(quotes.bid_iv) | np.isfinite(quotes.ask_iv))
    reasons = {
        SelectionReason.IN_THE_MONEY.value: ~quotes.is_otm,
        "no_vol": no_vol,
        "crossed_vols": quotes.bid_iv > quotes.ask_iv,
        SelectionReason.TOO_SHORT.value: np.ones(len(quotes), dtype=np.bool_),
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
    return [f"{doubtful} expiries with over 30 % of their quotes rejected: check their forwards"]
