"""A fit and its certificate in words."""

import polars as pl

from ivhedge.core.units import format_ns
from ivhedge.market.forwards import ForwardStatus
from ivhedge.report import format as fmt
from ivhedge.surface import ArbitrageCertificate, SurfaceFit
from ivhedge.surface.flexible import SliceStatus

__all__ = ["attention", "certificate_rows", "fit_kind", "mix_of", "quality_rows", "verdict"]

_MOST = 6
FEW_INSIDE, FEW_INSIDE_ESSVI = 0.8, 0.2
"""Shares of an expiry's quotes inside bid and ask below which a fit is worth a remark."""
_KINDS = {SliceStatus.FITTED.value: "flexible", "essvi": "eSSVI"}


def fit_kind(status: str) -> str:
    """Name how an expiry was fitted in one word: flexible, eSSVI or backbone."""
    return _KINDS.get(status, "backbone")


def mix_of(fit: SurfaceFit) -> float:
    """Share of the backbone in every price of the surface; 1 where the surface is the backbone."""
    return 1.0 if fit.flexible is None else fit.flexible.mix


def verdict(fit: SurfaceFit) -> str:
    """Say in one line whether the surface may be used, how far that is known, and what it cost."""
    certificate = fit.certificate
    if not certificate.valid:
        return f"NOT certified: {_worst(certificate)}. This surface must not be used."
    reach = (
        "proven for all strikes and times"
        if certificate.proven
        else "checked on a dense grid and in the wings, not proven between its points"
    )
    return f"Certified free of butterfly and calendar arbitrage; {reach}; {_mix(fit)}."


def quality_rows(fit: SurfaceFit) -> tuple[tuple[str, str], ...]:
    """Quality of a fit as names and values."""
    report = fit.report
    bounds = f"{report.n_bounds_held:,} of {report.n_bounds:,} kept" if report.n_bounds else "none"
    return (
        ("model", fit.model.value),
        (
            "quotes fitted",
            f"{report.n_quotes:,} in {report.n_expiries} expir{'y' if report.n_expiries == 1 else 'ies'}",
        ),
        ("one-sided beside them", bounds),
        ("rejected as outliers", f"{report.n_rejected:,}"),
        ("inside bid and ask", fmt.percent(report.inside_bid_ask)),
        ("rmse, weighted", f"{fmt.vol_points(report.rmse_vol)} vol points"),
        ("median error", f"{fmt.vol_points(report.median_error_vol)} vol points"),
        ("iterations", f"{report.iterations}: {report.reason}"),
    )


def certificate_rows(fit: SurfaceFit) -> tuple[tuple[str, str], ...]:
    """Describe a certificate as names and values."""
    certificate = fit.certificate
    rows = [
        ("certificate", "valid" if certificate.valid else f"NOT VALID: {_worst(certificate)}"),
        ("proven for all strikes and times", _proof(fit)),
        (
            "checked on",
            f"{certificate.n_strikes:,} strikes × {certificate.n_expiries} times, ±10 standard deviations "
            "and sparsely to ±1,000",
        ),
        ("smallest density factor", f"{certificate.min_density:.3g} (below 0: butterfly arbitrage)"),
        ("smallest calendar rise", f"{certificate.min_calendar:.3g} of total variance (below 0: arbitrage)"),
        ("steepest wing", f"{certificate.max_wing_slope:.3f} (Lee's bound: 2)"),
    ]
    if fit.flexible is not None:
        kinds = [fit_kind(status) for status in fit.report.by_expiry["status"]]
        rows += [
            ("share of the backbone", _mix(fit)),
            ("expiries on the backbone", f"{kinds.count('backbone')} of {len(kinds)}"),
        ]
    return tuple(rows)


def attention(fit: SurfaceFit) -> tuple[str, ...]:
    """Say which expiries have no fit of their own or no slice, and which forwards are in doubt."""
    least = fit.settings.flexible.min_quotes
    lines = []
    for expiry, status, quotes in fit.report.by_expiry.select("expiry", "status", "n_quotes").iter_rows():
        if fit_kind(status) != "backbone":
            continue
        if status == SliceStatus.BACKBONE:
            sided = f"{quotes} two-sided quote{'' if quotes == 1 else 's'}"
            why = f"{sided}, the flexible layer needs {least}; it follows the backbone and its neighbours"
        else:
            why = status.removeprefix("backbone: ")
        lines.append(f"{expiry:%d %b %Y} has no fit of its own: {why}")
    few = FEW_INSIDE if fit.flexible is not None else FEW_INSIDE_ESSVI
    inside = fit.report.by_expiry.filter((pl.col("n_quotes") > 0) & (pl.col("inside_bid_ask") < few))
    for expiry, share in inside.select("expiry", "inside_bid_ask").iter_rows():
        lines.append(
            f"{expiry:%d %b %Y}: only {fmt.percent(share, 0)} of its quotes hold the surface; its neighbours "
            "or its forward contradict them"
        )
    # A flexible surface has slices that the backbone, which wants more quotes, has skipped.
    lines += [
        f"{name}: {note}"
        for name, note in fit.report.expiry_notes.items()
        if name in fit.report.skipped_expiries or fit.flexible is None
    ]
    return (*lines, *_doubtful_forwards(fit))


def _doubtful_forwards(fit: SurfaceFit) -> list[str]:
    rows = [row for row in fit.forwards.status.iter_rows() if row[2] != ForwardStatus.OK]
    lines = [
        f"forward of {venue} {expiry:%d %b %Y}, {status.replace('_', ' ')}"
        + (f": {detail}" if detail else "")
        for venue, expiry, status, detail in rows[:_MOST]
    ]
    return lines + ([f"{len(rows) - _MOST} more forwards in doubt"] if len(rows) > _MOST else [])


def _proof(fit: SurfaceFit) -> str:
    if not fit.certificate.proven:
        return "no: the verdict holds on the grid and in the wings, nothing is claimed between"
    if fit.flexible is None:
        return "yes: the parameters meet the sufficient conditions of eSSVI, which speak for every point"
    return "yes: by bounds on every cell between the strikes, on the wings and on the times between"


def _mix(fit: SurfaceFit) -> str:
    if fit.flexible is None:
        return "the backbone alone"
    mix, least = fit.flexible.mix, fit.settings.flexible.mix
    share = fmt.percent(mix, 2 if mix < 0.1 else 1)
    if mix >= 1.0:
        return "100 %: the surface is the backbone"
    if mix > least:
        end = "raised until the proof held" if fit.flexible.proof.proven else "raised, without a proof"
        return f"{share} of every price is the backbone's, {end}"
    words = f"{share} of every price is the backbone's, the least share"
    if fit.flexible.wide > 0.0:
        words += f"; {fit.flexible.wide:.0e} a wide law's, which orders the far wings"
    return words


def _worst(certificate: ArbitrageCertificate) -> str:
    if not certificate.violations:
        return "no violation is named"
    worst = certificate.violations[0]
    return (
        f"{len(certificate.violations)} violations, the worst a {worst.kind} of {worst.size:.3g} at "
        f"log-moneyness {worst.log_moneyness:.3g}, {format_ns(worst.expiry_ns)}"
    )
