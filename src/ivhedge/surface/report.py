"""What a fit says about itself."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, format_ns
from ivhedge.market import QuoteVols
from ivhedge.surface.flexible.fit import EDGE
from ivhedge.surface.judgement import QuoteJudgement

__all__ = ["TENORS", "FitReport", "build_report"]

TENORS: Final = (("<3d", 0.0, 3.0), ("3-14d", 3.0, 14.0), ("14-90d", 14.0, 90.0), (">90d", 90.0, np.inf))
"""Name, first and last day (exclusive) of the rows of `FitReport.by_tenor`."""

_WORST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """Quality of a fit; vols are decimals, errors are surface minus the mean of bid and ask vol.

    Parameters
    ----------
    rmse_vol : float
        Root mean square error over the quotes that were not rejected, weighted by spread and age.
    median_error_vol : float
        Median absolute error over all two-sided quotes of the fit.
    max_error_vol : float
        Largest absolute error over the quotes that were not rejected.
    inside_bid_ask : float
        Share of all two-sided quotes of the fit, rejected ones included, whose surface vol lies inside bid
        and ask.
    n_quotes, n_rejected, n_expiries : int
        Two-sided quotes of the fit, quotes and bounds rejected as outliers, and fitted expiries.
    n_bounds, n_bounds_held : int
        One-sided quotes beside them, and those whose side the surface keeps.
    by_tenor : pl.DataFrame
        ``tenor, n_quotes, n_rejected, rmse_vol, median_error_vol, inside_bid_ask``; null without quotes.
    by_expiry : pl.DataFrame
        ``expiry, tau, status, n_quotes, n_bounds, n_rejected, rmse_vol, median_error_vol, inside_bid_ask``,
        null where there is no two-sided quote.
    worst : pl.DataFrame
        The ten largest errors in half-spreads: ``venue, instrument_name, log_moneyness, bid_iv, ask_iv,
        mid_iv, fitted_iv, error_vol, robust_weight``.
    rejected : pl.DataFrame
        The outliers, in the same columns.
    drops : pl.DataFrame
        ``reason, scope, count``: what cleaning removed, and with scope ``fit`` what was not fitted.
    skipped_expiries : tuple of str
        Listed expiries without a slice of their own.
    expiry_notes : dict of str to str
        Why they have none, and which others are of low confidence.
    forward_notes : tuple of str
        Venues and expiries whose forward was passed over, contradicts parity or could not be converted.
    iterations, rounds : int
        Steps of the solver, and its rounds of reweighting or of cuts.
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
    n_bounds: int
    n_bounds_held: int
    by_tenor: pl.DataFrame
    by_expiry: pl.DataFrame
    worst: pl.DataFrame
    rejected: pl.DataFrame
    drops: pl.DataFrame
    skipped_expiries: tuple[str, ...]
    expiry_notes: dict[str, str]
    forward_notes: tuple[str, ...]
    iterations: int
    rounds: int
    converged: bool
    warm_start: bool
    arbitrage_free: bool
    reason: str


def build_report(
    *,
    quotes: QuoteVols,
    judgement: QuoteJudgement,
    expiry_notes: dict[str, str],
    forward_notes: tuple[str, ...],
    cleaning_drops: pl.DataFrame,
    arbitrage_free: bool,
) -> FitReport:
    """Judge a fit by its quotes.

    Parameters
    ----------
    quotes : QuoteVols
    judgement : QuoteJudgement
        What the model made of the quotes it was given.
    expiry_notes : dict of str to str
        Listed expiries without a slice of their own, and those of low confidence, with the reason.
    forward_notes : tuple of str
        Venues and expiries whose forward is doubtful, in words.
    cleaning_drops : pl.DataFrame
        ``reason, scope, count`` of the cleaning.
    arbitrage_free : bool
        Verdict of the certificate.
    """
    rows, fitted, rejected = judgement.rows, judgement.fitted_vol, judgement.rejected
    bid, ask, two_sided = quotes.bid_iv[rows], quotes.ask_iv[rows], quotes.is_two_sided[rows]
    error = fitted - quotes.centre_iv[rows]
    # A missing side bounds nothing.
    held = ~((fitted < bid - EDGE) | (fitted > ask + EDGE))
    table = pl.DataFrame(
        {
            "venue": np.array(quotes.venue)[rows],
            "instrument_name": np.array(quotes.instrument_name)[rows],
            "log_moneyness": quotes.log_moneyness[rows],
            "bid_iv": bid,
            "ask_iv": ask,
            "mid_iv": quotes.centre_iv[rows],
            "fitted_iv": fitted,
            "error_vol": error,
            "robust_weight": judgement.robust_weight,
        }
    )
    size = np.abs(error) / quotes.half_spread_iv[rows]
    by_size = np.argsort(np.where(two_sided, -size, np.inf), kind="stable")
    scored = _Scored(
        tau=quotes.tau[rows],
        error=error,
        information=judgement.information * judgement.robust_weight,
        inside=held,
        rejected=rejected,
        two_sided=two_sided,
    )
    good = ~rejected & two_sided
    whole = scored.summary(np.ones(rows.size, dtype=np.bool_))
    left_out = [(reason, "fit", count) for reason, count in sorted(judgement.left_out.items())]
    parts = [judgement.reason]
    own = {format_ns(int(expiry)) for expiry in judgement.expiries}
    skipped = tuple(name for name in expiry_notes if name not in own)
    if skipped:
        parts.append(f"expiries without a slice: {len(skipped)}")
    if forward_notes:
        parts.append(f"doubtful forwards: {len(forward_notes)}")
    return FitReport(
        rmse_vol=float("inf") if whole.rmse is None else whole.rmse,
        median_error_vol=float("inf") if whole.median is None else whole.median,
        max_error_vol=float(np.max(np.abs(error[good]))) if good.any() else float("inf"),
        inside_bid_ask=0.0 if whole.inside is None else whole.inside,
        n_quotes=whole.quotes,
        n_rejected=int(rejected.sum()),
        n_expiries=int(judgement.expiries.size),
        n_bounds=whole.bounds,
        n_bounds_held=int(held[~two_sided].sum()),
        by_tenor=_by_tenor(scored),
        by_expiry=_by_expiry(scored, quotes.expiry_ns[rows], judgement),
        worst=table[by_size[: min(_WORST, whole.quotes)]],
        rejected=table[by_size[rejected[by_size]]],
        drops=pl.concat([cleaning_drops, pl.DataFrame(left_out, schema=cleaning_drops.schema, orient="row")]),
        skipped_expiries=skipped,
        expiry_notes=expiry_notes,
        forward_notes=forward_notes,
        iterations=judgement.iterations,
        rounds=judgement.rounds,
        converged=judgement.converged,
        warm_start=judgement.warm,
        arbitrage_free=arbitrage_free,
        reason="; ".join(parts),
    )


class _Summary(NamedTuple):
    """Counts and errors of some quotes; errors are None where there is no two-sided quote."""

    quotes: int
    bounds: int
    rejected: int
    rmse: float | None
    median: float | None
    inside: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """Errors of the quotes of a fit, shape (q,)."""

    tau: FloatArray
    error: FloatArray
    information: FloatArray
    inside: BoolArray
    rejected: BoolArray
    two_sided: BoolArray

    def summary(self, mine: BoolArray) -> _Summary:
        """Summarise some of them."""
        seen = mine & self.two_sided
        count = int(seen.sum())
        counts = count, int(mine.sum()) - count, int((mine & self.rejected).sum())
        if count == 0:
            return _Summary(*counts, None, None, None)
        error, information = self.error[seen], self.information[seen]
        total = float(information.sum())
        rmse = float(np.sqrt(np.sum(information * error * error) / total)) if total > 0.0 else None
        return _Summary(*counts, rmse, float(np.median(np.abs(error))), float(self.inside[seen].mean()))


def _by_tenor(scored: _Scored) -> pl.DataFrame:
    rows = []
    days = scored.tau * DAYS_PER_YEAR
    for name, first, last in TENORS:
        seen = scored.summary((days >= first) & (days < last))
        rows.append((name, seen.quotes, seen.rejected, seen.rmse, seen.median, seen.inside))
    schema = {
        "tenor": pl.String(),
        "n_quotes": pl.Int64(),
        "n_rejected": pl.Int64(),
        "rmse_vol": pl.Float64(),
        "median_error_vol": pl.Float64(),
        "inside_bid_ask": pl.Float64(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _by_expiry(scored: _Scored, expiry_ns: IntArray, judgement: QuoteJudgement) -> pl.DataFrame:
    rows = []
    for expiry, status in zip(judgement.expiries, judgement.status, strict=True):
        mine = expiry_ns == expiry
        tau = float(scored.tau[mine][0]) if mine.any() else None
        rows.append((int(expiry), tau, status, *scored.summary(mine)))
    schema = {
        "expiry": pl.Int64(),
        "tau": pl.Float64(),
        "status": pl.String(),
        "n_quotes": pl.Int64(),
        "n_bounds": pl.Int64(),
        "n_rejected": pl.Int64(),
        "rmse_vol": pl.Float64(),
        "median_error_vol": pl.Float64(),
        "inside_bid_ask": pl.Float64(),
    }
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.with_columns(pl.from_epoch("expiry", "ns").dt.replace_time_zone("UTC"))
