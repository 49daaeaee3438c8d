"""What a fit says about itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.market import QuoteVols
from ivhedge.surface.calibrate import Calibration
from ivhedge.surface.selection import QuoteSelection

__all__ = ["TENORS", "FitReport", "build_report"]

TENORS: Final = (("<3d", 0.0, 3.0), ("3-14d", 3.0, 14.0), ("14-90d", 14.0, 90.0), (">90d", 90.0, np.inf))
"""Name, first and last day (exclusive) of the rows of `FitReport.by_tenor`."""

_WORST = 10
REJECTED = 0.01
"""A quote with less robust weight than this counts as rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """Quality of a fit; vols and errors are decimals, errors are surface minus mid.

    Parameters
    ----------
    rmse_vol : float
        Root mean square error over the quotes that were not rejected, weighted by spread and age.
    median_error_vol : float
        Median absolute error over all fitted quotes.
    max_error_vol : float
        Largest absolute error over the quotes that were not rejected.
    inside_bid_ask : float
        Share of all fitted quotes, rejected ones included, whose surface vol lies inside bid and ask.
    n_quotes, n_rejected, n_expiries : int
        Quotes given to the fit, those it rejected as outliers, and fitted expiries.
    by_tenor : pl.DataFrame
        ``tenor, n_quotes, n_rejected, rmse_vol, median_error_vol, inside_bid_ask``; null without quotes.
    worst : pl.DataFrame
        The ten largest errors in half-spreads: ``venue, instrument_name, log_moneyness, bid_iv, ask_iv,
        mid_iv, fitted_iv, error_vol, robust_weight``.
    rejected : pl.DataFrame
        The outliers, in the same columns.
    drops : pl.DataFrame
        ``reason, scope, count``: what cleaning removed, and with scope ``fit`` what was not fitted.
    skipped_expiries : tuple of str
        Listed expiries without a slice of their own.
    iterations, rounds : int
        Levenberg–Marquardt steps and reweighting rounds.
    converged, warm_start, arbitrage_free : bool
        `arbitrage_free` is the certificate's verdict.
    reason : str
        Why the fit ended, and what deserves attention.
    """

    rmse_vol: float
    median_error_vol: float
    max_error_vol: float
    inside_bid_ask: float
    n_quotes: int
    n_rejected: int
    n_expiries: int
    by_tenor: pl.DataFrame
    worst: pl.DataFrame
    rejected: pl.DataFrame
    drops: pl.DataFrame
    skipped_expiries: tuple[str, ...]
    iterations: int
    rounds: int
    converged: bool
    warm_start: bool
    arbitrage_free: bool
    reason: str


def build_report(
    *,
    quotes: QuoteVols,
    selection: QuoteSelection,
    calibration: Calibration,
    fitted_vol: FloatArray,
    cleaning_drops: pl.DataFrame,
    arbitrage_free: bool,
) -> FitReport:
    """Judge a fit by its quotes.

    Parameters
    ----------
    quotes : QuoteVols
    selection : QuoteSelection
    calibration : Calibration
    fitted_vol : FloatArray, shape (q,)
        Vol of the surface at each selected quote.
    cleaning_drops : pl.DataFrame
        ``reason, scope, count`` of the cleaning.
    arbitrage_free : bool
        Verdict of the certificate.
    """
    rows = selection.rows
    error = fitted_vol - selection.packed.vol
    inside = (fitted_vol >= quotes.bid_iv[rows]) & (fitted_vol <= quotes.ask_iv[rows])
    robust = calibration.robust_weight
    rejected = robust < REJECTED
    information = selection.packed.weight**2 * robust
    days = quotes.tau[rows] * DAYS_PER_YEAR
    table = pl.DataFrame(
        {
            "venue": np.array(quotes.venue)[rows],
            "instrument_name": np.array(quotes.instrument_name)[rows],
            "log_moneyness": selection.packed.log_moneyness,
            "bid_iv": quotes.bid_iv[rows],
            "ask_iv": quotes.ask_iv[rows],
            "mid_iv": selection.packed.vol,
            "fitted_iv": fitted_vol,
            "error_vol": error,
            "robust_weight": robust,
        }
    )
    by_size = np.argsort(-np.abs(error) / quotes.half_spread_iv[rows], kind="stable")
    left_out = [(reason, "fit", count) for reason, count in sorted(selection.left_out.items())]
    return FitReport(
        rmse_vol=_rmse(error, information),
        median_error_vol=float(np.median(np.abs(error))),
        max_error_vol=float(np.max(np.abs(error[~rejected]), initial=0.0)),
        inside_bid_ask=float(inside.mean()),
        n_quotes=int(rows.size),
        n_rejected=int(rejected.sum()),
        n_expiries=int(selection.expiries.size),
        by_tenor=_by_tenor(days, error, information, inside, rejected),
        worst=table[by_size[:_WORST]],
        rejected=table[by_size[rejected[by_size]]],
        drops=pl.concat([cleaning_drops, pl.DataFrame(left_out, schema=cleaning_drops.schema, orient="row")]),
        skipped_expiries=selection.thin_expiries,
        iterations=calibration.iterations,
        rounds=calibration.rounds,
        converged=calibration.converged,
        warm_start=calibration.warm,
        arbitrage_free=arbitrage_free,
        reason=_reason(selection, calibration, rejected),
    )


def _rmse(error: FloatArray, information: FloatArray) -> float:
    total = float(information.sum())
    return float(np.sqrt(np.sum(information * error * error) / total)) if total > 0.0 else float("inf")


def _by_tenor(
    days: FloatArray, error: FloatArray, information: FloatArray, inside: BoolArray, rejected: BoolArray
) -> pl.DataFrame:
    rows: list[tuple[str, int, int, float | None, float | None, float | None]] = []
    for name, first, last in TENORS:
        mine = (days >= first) & (days < last)
        count = int(mine.sum())
        if count == 0:
            rows.append((name, 0, 0, None, None, None))
            continue
        median = float(np.median(np.abs(error[mine])))
        rmse = _rmse(error[mine], information[mine])
        rows.append((name, count, int(rejected[mine].sum()), rmse, median, float(inside[mine].mean())))
    schema = {
        "tenor": pl.String(),
        "n_quotes": pl.Int64(),
        "n_rejected": pl.Int64(),
        "rmse_vol": pl.Float64(),
        "median_error_vol": pl.Float64(),
        "inside_bid_ask": pl.Float64(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _reason(selection: QuoteSelection, calibration: Calibration, rejected: BoolArray) -> str:
    parts = [
        f"weights settled after {calibration.rounds} rounds"
        if calibration.converged
        else f"stopped after {calibration.rounds} rounds with weights still moving"
    ]
    if selection.thin_expiries:
        parts.append(f"{len(selection.thin_expiries)} expiries without enough quotes")
    counts = np.diff(selection.packed.offsets)
    share = np.add.reduceat(rejected.astype(np.float64), selection.packed.offsets[:-1]) / counts
    doubtful = int((share > 0.3).sum())
    if doubtful:
        parts.append(f"{doubtful} expiries with over 30 % of their quotes rejected: check their forwards")
    return "; ".join(parts)
