"""What the commands show of a fit and of a book, as views and as JSON."""

import polars as pl

from ivhedge.core.units import format_ns
from ivhedge.engine.desk import Desk
from ivhedge.engine.diagnostics import smile_table, term_table
from ivhedge.market import MarketSnapshot
from ivhedge.report import FitView
from ivhedge.risk import Exposures, SpotVolMatrix
from ivhedge.surface import SurfaceFit

__all__ = ["fit_to_dict", "fit_view", "risk_to_dict"]


def fit_view(snapshot: MarketSnapshot, fit: SurfaceFit) -> FitView:
    """Collect what there is to see of a fit."""
    report, certificate = fit.report, fit.certificate
    facts = (
        ("quotes fitted", f"{report.n_quotes:,} in {report.n_expiries} expiries"),
        ("rejected as outliers", f"{report.n_rejected:,}"),
        ("inside bid and ask", f"{report.inside_bid_ask:.1%}"),
        ("rmse, weighted", f"{100 * report.rmse_vol:.2f} vol points"),
        ("median error", f"{100 * report.median_error_vol:.2f} vol points"),
        ("iterations", f"{report.iterations}: {report.reason}"),
        ("certificate", "valid" if certificate.valid else "NOT VALID"),
        ("proven for all strikes and times", "yes" if certificate.proven else "no"),
        (
            "checked on",
            f"{certificate.n_strikes:,} strikes × {certificate.n_expiries} expiries; smallest density factor "
            f"{certificate.min_density:.4f}, steepest wing {certificate.max_wing_slope:.3f}",
        ),
    )
    return FitView(
        underlying=snapshot.underlying,
        ts_ns=snapshot.ts_ns,
        facts=facts,
        certified=certificate.valid,
        by_tenor=report.by_tenor,
        worst=report.worst,
        drops=report.drops.filter(pl.col("count") > 0),
        smiles=smile_table(snapshot, fit),
        term=term_table(snapshot, fit.surface),
    )


def fit_to_dict(snapshot: MarketSnapshot, fit: SurfaceFit) -> dict[str, object]:
    """Describe a fit as JSON: slices, quality, certificate."""
    report, certificate = fit.report, fit.certificate
    return {
        "underlying": snapshot.underlying,
        "time": format_ns(snapshot.ts_ns),
        "ts_ns": snapshot.ts_ns,
        "index": snapshot.index,
        "model": fit.model.value,
        "slices": _slices(fit),
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
        },
        "certificate": {
            "valid": certificate.valid,
            "proven": certificate.proven,
            "min_density": certificate.min_density,
            "min_calendar": certificate.min_calendar,
            "max_wing_slope": certificate.max_wing_slope,
            "n_strikes": certificate.n_strikes,
            "n_expiries": certificate.n_expiries,
            "violations": [str(violation) for violation in certificate.violations],
        },
    }


def _slices(fit: SurfaceFit) -> list[dict[str, object]]:
    """One entry per expiry: forward, at-the-money vol, quality, and the backbone's three numbers."""
    base = fit.backbone
    atm_vol = fit.surface.implied_vol(0.0, base.taus)
    quality = fit.report.by_expiry.drop("expiry", "tau").to_dicts()
    own = {int(expiry): row for expiry, row in zip(fit.surface.expiries, quality, strict=True)}
    return [
        {
            "expiry": format_ns(int(expiry)),
            "tau": float(base.taus[i]),
            "forward": float(base.forwards[i]),
            "atm_vol": float(atm_vol[i]),
            "theta": float(base.theta[i]),
            "rho": float(base.rho[i]),
            "psi": float(base.psi[i]),
            **own.get(int(expiry), {}),
        }
        for i, expiry in enumerate(base.expiries)
    ]


def risk_to_dict(desk: Desk, seen: Exposures, matrix: SpotVolMatrix) -> dict[str, object]:
    """Describe a book's risk as JSON: legs, totals, spot-vol matrix."""
    legs = seen.legs.with_columns(pl.col("expiry").dt.to_string("iso:strict"))
    return {
        "book": desk.book.name,
        "underlying": desk.underlying,
        "time": format_ns(desk.ts_ns),
        "ts_ns": desk.ts_ns,
        "index": desk.index,
        "total": seen.total(desk.underlying),
        "legs": legs.to_dicts(),
        "spot_vol": {
            "spot_shocks": matrix.spot_shocks.tolist(),
            "vol_shocks_points": matrix.vol_shocks.tolist(),
            "pnl_usd": matrix.pnl_usd.tolist(),
            "pnl_coin": matrix.pnl_coin.tolist(),
        },
        "warnings": list(desk.warnings),
    }
