"""What the commands show of a fit, as a view and as JSON."""

import numpy as np
import polars as pl

from ivhedge.core.units import NS_PER_SECOND, format_ns, year_fraction
from ivhedge.engine.diagnostics import smile_table, term_table
from ivhedge.market import MarketSnapshot
from ivhedge.report import FitView
from ivhedge.report.fitwords import attention, certificate_rows, fit_kind, mix_of, quality_rows, verdict
from ivhedge.surface import SurfaceFit

__all__ = ["fit_to_dict", "fit_view"]


def fit_view(snapshot: MarketSnapshot, fit: SurfaceFit) -> FitView:
    """Collect what there is to see of a fit."""
    report = fit.report
    return FitView(
        underlying=snapshot.underlying,
        ts_ns=snapshot.ts_ns,
        model=fit.model.value,
        verdict=verdict(fit),
        certified=fit.certificate.valid,
        facts=quality_rows(fit),
        certificate=certificate_rows(fit),
        notes=attention(fit),
        by_tenor=report.by_tenor,
        by_expiry=_by_expiry(snapshot, fit),
        forwards=_forwards(snapshot, fit),
        worst=report.worst,
        drops=report.drops.filter(pl.col("count") > 0),
        smiles=smile_table(snapshot, fit),
        term=term_table(snapshot, fit.surface, listed=True),
    )


def _days(snapshot: MarketSnapshot) -> pl.Expr:
    return ((pl.col("expiry").dt.epoch("ns") - snapshot.ts_ns) / (86_400 * NS_PER_SECOND)).alias("tenor_days")


def _by_expiry(snapshot: MarketSnapshot, fit: SurfaceFit) -> pl.DataFrame:
    kind = pl.Series(
        "fit", [fit_kind(status) for status in fit.report.by_expiry["status"]], dtype=pl.String()
    )
    counts = ("n_quotes", "n_bounds", "n_rejected", "inside_bid_ask", "rmse_vol")
    return fit.report.by_expiry.select("expiry", _days(snapshot), kind, *counts)


def _forwards(snapshot: MarketSnapshot, fit: SurfaceFit) -> pl.DataFrame:
    """Pooled forwards with their errors, and by how many venues and pairs each is known."""
    curve = fit.forwards
    sources = curve.table.group_by("expiry").agg(
        pl.col("method").unique().sort().str.join(", "), pl.col("n_pairs").sum(), pl.len().alias("n_venues")
    )
    pooled = pl.DataFrame(
        {"expiry": curve.expiry_ns, "forward": curve.forwards, "std_error": curve.std_errors}
    ).with_columns(pl.from_epoch("expiry", "ns").dt.replace_time_zone("UTC"))
    return pooled.join(sources, on="expiry", how="left").sort("expiry").with_columns(_days(snapshot))


def fit_to_dict(snapshot: MarketSnapshot, fit: SurfaceFit) -> dict[str, object]:
    """Describe a fit as JSON: slices, quality, certificate."""
    report, certificate = fit.report, fit.certificate
    return {
        "underlying": snapshot.underlying,
        "time": format_ns(snapshot.ts_ns),
        "ts_ns": snapshot.ts_ns,
        "index": snapshot.index,
        "model": fit.model.value,
        "slices": _slices(snapshot, fit),
        "report": {
            "n_quotes": report.n_quotes,
            "n_rejected": report.n_rejected,
            "n_bounds": report.n_bounds,
            "n_bounds_held": report.n_bounds_held,
            "inside_bid_ask": report.inside_bid_ask,
            "rmse_vol": report.rmse_vol,
            "median_error_vol": report.median_error_vol,
            "max_error_vol": report.max_error_vol,
            "iterations": report.iterations,
            "converged": report.converged,
            "reason": report.reason,
            "by_tenor": report.by_tenor.to_dicts(),
            "drops": report.drops.to_dicts(),
            "skipped_expiries": list(report.skipped_expiries),
            "notes": list(attention(fit)),
        },
        "certificate": {
            "valid": certificate.valid,
            "proven": certificate.proven,
            "backbone_share": mix_of(fit),
            "in_words": verdict(fit),
            "min_density": certificate.min_density,
            "min_calendar": certificate.min_calendar,
            "max_wing_slope": certificate.max_wing_slope,
            "n_strikes": certificate.n_strikes,
            "n_expiries": certificate.n_expiries,
            "violations": [str(violation) for violation in certificate.violations],
        },
    }


def _slices(snapshot: MarketSnapshot, fit: SurfaceFit) -> list[dict[str, object]]:
    """One entry per expiry: forward, vols, skew, quality, and the backbone's three numbers."""
    term = term_table(snapshot, fit.surface, listed=True)
    taus = year_fraction(snapshot.ts_ns, fit.surface.expiries)
    theta, rho, psi = fit.backbone.slice_parameters(taus)
    quality = fit.report.by_expiry.drop("expiry", "tau").to_dicts()
    error = dict(zip(fit.forwards.expiry_ns.tolist(), fit.forwards.std_errors.tolist(), strict=True))
    forward = fit.surface.forward(taus)
    n = fit.surface.expiries.size
    atm_error = [None] * n if fit.flexible is None else fit.vol_error(np.zeros(n), np.arange(n)).tolist()
    vols = term.select("atm_vol", "forward_vol", "risk_reversal_25", "butterfly_25").to_dicts()
    return [
        {
            "expiry": format_ns(int(expiry)),
            "tau": float(taus[i]),
            "forward": float(forward[i]),
            "forward_std_error": error.get(int(expiry)),
            **vols[i],
            "atm_vol_error": atm_error[i],
            "theta": float(theta[i]),
            "rho": float(rho[i]),
            "psi": float(psi[i]),
            **quality[i],
        }
        for i, expiry in enumerate(fit.surface.expiries)
    ]
