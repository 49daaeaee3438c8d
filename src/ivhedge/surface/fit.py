"""From an option chain to a certified surface: clean, forwards, vols, select, calibrate, certify, report."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import polars as pl

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import format_ns
from ivhedge.market import (
    CHAIN_SCHEMA,
    CleanedChain,
    CleaningRules,
    ForwardCurve,
    ForwardSettings,
    ForwardStatus,
    QuoteSettings,
    QuoteVols,
    clean_chain,
    conform,
    estimate_forwards,
    quote_vols,
)
from ivhedge.market.forward_basis import DOLLAR
from ivhedge.market.moment import single_moment
from ivhedge.surface.calibrate import RobustSettings, calibrate_essvi
from ivhedge.surface.certificate import ArbitrageCertificate, certify
from ivhedge.surface.clock import VarianceClock
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.flexible import (
    FlexibleFit,
    FlexibleQuotes,
    FlexibleSettings,
    FlexibleSurface,
    backbone_instead,
    error_bars,
    fit_flexible,
    flexible_quotes,
)
from ivhedge.surface.judgement import judged_by_essvi, judged_by_flexible
from ivhedge.surface.report import FitReport, build_report
from ivhedge.surface.selection import QuoteSelection, SelectionRules, select_quotes

__all__ = ["FitSettings", "SurfaceFit", "SurfaceModel", "fit_surface"]


class SurfaceModel(StrEnum):
    """Which surface a fit publishes."""

    ESSVI = "essvi"
    FLEXIBLE = "flexible"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """Everything that steers a fit.

    Parameters
    ----------
    model : SurfaceModel
        `ESSVI`: the backbone, three numbers an expiry. `FLEXIBLE`: mixtures of kernels on top of it.
    selection : SelectionRules
        Which quotes count, and how much.
    robust : RobustSettings
        Outliers and iterations.
    quotes : QuoteSettings
        Weights by spread and age.
    forwards : ForwardSettings
        How forwards are estimated when none are given.
    flexible : FlexibleSettings
        The flexible layer, where the model asks for it.
    """

    model: SurfaceModel = SurfaceModel.ESSVI
    selection: SelectionRules = field(default_factory=SelectionRules)
    robust: RobustSettings = field(default_factory=RobustSettings)
    quotes: QuoteSettings = field(default_factory=QuoteSettings)
    forwards: ForwardSettings = field(default_factory=ForwardSettings)
    flexible: FlexibleSettings = field(default_factory=FlexibleSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceFit:
    """A fitted surface; it never comes without its report and certificate.

    Parameters
    ----------
    surface : EssviSurface or FlexibleSurface
        What the model asked for.
    backbone : EssviSurface
        The same object where the model is eSSVI.
    report : FitReport
    certificate : ArbitrageCertificate
    forwards : ForwardCurve
        The forwards used, with error bars per venue and expiry.
    flexible : FlexibleFit, optional
        How the flexible layer came about.
    bands : FlexibleQuotes, optional
        What it was fitted to.
    settings : FitSettings
    """

    surface: EssviSurface | FlexibleSurface
    backbone: EssviSurface
    report: FitReport
    certificate: ArbitrageCertificate
    forwards: ForwardCurve
    flexible: FlexibleFit | None = None
    bands: FlexibleQuotes | None = None
    settings: FitSettings = field(default_factory=FitSettings)

    def vol_error(self, log_moneyness: ArrayLike, expiry: ArrayLike) -> FloatArray:
        """Standard deviation of the fitted vol, decimal; see `flexible.error_bars`.

        Parameters
        ----------
        log_moneyness : array_like, shape (p,)
        expiry : array_like of int, shape (p,)
            Position in ``surface.expiries``.

        Raises
        ------
        ConfigError
            If the model is not flexible: the backbone has no error bars.
        """
        if self.flexible is None or self.bands is None:
            raise ConfigError("expected a fit of the flexible model; the backbone has no error bars")
        return error_bars(
            self.bands, self.flexible, self.settings.flexible, log_moneyness=log_moneyness, expiry=expiry
        )

    @property
    def model(self) -> SurfaceModel:
        """Which surface was asked for."""
        return SurfaceModel.ESSVI if self.flexible is None else SurfaceModel.FLEXIBLE

    def published(self) -> EssviSurface | FlexibleSurface:
        """Give out the surface for use.

        Raises
        ------
        ArbitrageError
            If the certificate is not valid.
        """
        self.certificate.require()
        return self.surface


def fit_surface(
    chain: pl.DataFrame,
    *,
    futures: pl.DataFrame | None = None,
    forwards: ForwardCurve | None = None,
    rules: CleaningRules | None = None,
    settings: FitSettings | None = None,
    start: "EssviSurface | FlexibleSurface | SurfaceFit | None" = None,
    clock: VarianceClock | None = None,
) -> SurfaceFit:
    """Fit an arbitrage-free surface to the option quotes of one underlying at one time.

    Parameters
    ----------
    chain : pl.DataFrame
        In `CHAIN_SCHEMA`; several venues are pooled by spread and age.
    futures : pl.DataFrame, optional
        In `FUTURES_SCHEMA`; used for the forwards.
    forwards : ForwardCurve, optional
        Taken instead of estimated ones.
    rules : CleaningRules, optional
    settings : FitSettings, optional
    start : SurfaceFit or one of its surfaces, optional
        An earlier surface or fit of the same underlying: the fit starts there when it lies near the quotes.
    clock : VarianceClock, optional
        Time in which total variance runs between expiries; the fitted slices do not depend on it.

    Returns
    -------
    SurfaceFit

    Raises
    ------
    SchemaError, EmptyData, DataError
        If a column is missing, there are no rows, or several underlyings or times.
    CalibrationError
        If the quotes do not carry a surface; the message counts why.
    ConfigError
        If `start` or `forwards` belong to another underlying, or forwards to another time or currency.
    """
    settings = settings or FitSettings()
    chain = conform(chain, CHAIN_SCHEMA, source="chain")
    ts_ns, underlying = single_moment(chain)
    before = start if start is None or isinstance(start, EssviSurface) else start.backbone
    for name, other in (("start", before), ("forwards", forwards)):
        if other is not None and other.underlying != underlying:
            raise ConfigError(f"expected {name} of {underlying}, found {other.underlying}")
    if forwards is not None and forwards.ts_ns != ts_ns:
        raise ConfigError(
            f"expected forwards at {format_ns(ts_ns)}, found those of {format_ns(forwards.ts_ns)}; estimate "
            "them from the same chain"
        )
    cleaned = clean_chain(chain, rules)
    if cleaned.chain.is_empty():
        raise CalibrationError(
            f"{underlying} {format_ns(ts_ns)}: expected usable quotes, found none of {chain.height} after "
            f"cleaning ({_in_words(cleaned)}); check the feed or the cleaning rules"
        )
    usable = cleaned.chain
    if forwards is None:
        curve = estimate_forwards(usable, futures, settings=settings.forwards)
    else:
        # Given forwards price the quotes too: a row's own would shift its strikes against the surface.
        curve, usable = forwards, usable.with_columns(forward=pl.lit(None, dtype=pl.Float64()))
    if curve.currency != DOLLAR:
        raise ConfigError(
            f"{underlying}: expected forwards in USD, found {curve.currency}; give the price of "
            f"{curve.currency} in ForwardSettings(stable_prices=...)"
        )
    usable, drops = _with_basis(usable, curve, cleaned.drops)
    quotes = quote_vols(usable, curve, settings=settings.quotes)
    try:
        selection = select_quotes(quotes, settings.selection)
    except CalibrationError as exc:
        raise CalibrationError(f"{exc}; cleaning had removed {_in_words(cleaned)}") from exc
    first_guess = None
    if before is not None:
        first_guess = np.column_stack(before.slice_parameters(selection.packed.taus))
    calibration = calibrate_essvi(selection.packed, settings.robust, start=first_guess)
    backbone = _surface(quotes, selection, calibration.params, curve, _index(cleaned.chain), clock)
    surface: EssviSurface | FlexibleSurface = backbone
    judgement = judged_by_essvi(quotes, selection, calibration, backbone)
    flexible = bands = None
    if settings.model is SurfaceModel.FLEXIBLE:
        bands = flexible_quotes(quotes, settings.selection, half_life_s=settings.quotes.half_life_s)
        earlier = start.flexible if isinstance(start, SurfaceFit) else None
        flexible = fit_flexible(bands, backbone, settings.flexible, start=earlier)
        certificate = certify(flexible.surface, proof=flexible.proof)
        if not certificate.valid:
            flexible = backbone_instead(bands, flexible)
            certificate = certify(flexible.surface, proof=flexible.proof)
        surface = flexible.surface
        judgement = judged_by_flexible(quotes, selection, calibration, bands, flexible, settings.selection)
    else:
        certificate = certify(surface)
    report = build_report(
        quotes=quotes,
        judgement=judgement,
        expiry_notes=selection.expiry_notes,
        forward_notes=_forward_notes(curve),
        cleaning_drops=drops,
        arbitrage_free=certificate.valid,
    )
    return SurfaceFit(
        surface=surface,
        backbone=backbone,
        report=report,
        certificate=certificate,
        forwards=curve,
        flexible=flexible,
        bands=bands,
        settings=settings,
    )


def _with_basis(
    chain: pl.DataFrame, curve: ForwardCurve, drops: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Leave out venues and expiries whose forwards cannot be converted to dollars, and count them."""
    without = curve.status.filter(pl.col("status") == ForwardStatus.NO_BASIS.value)
    kept = chain.join(
        without.select("venue", "expiry"), on=["venue", "expiry"], how="anti", maintain_order="left"
    )
    count = chain.height - kept.height
    if count == 0:
        return chain, drops
    if kept.is_empty():
        raise CalibrationError(
            "expected forwards in USD, found none that could be converted; give the prices of the venues' "
            "currencies in ForwardSettings(stable_prices=...)"
        )
    row = pl.DataFrame([("no_basis", "row", count)], schema=drops.schema, orient="row")
    return kept, pl.concat([drops, row])


def _forward_notes(curve: ForwardCurve) -> tuple[str, ...]:
    doubtful = curve.status.filter(pl.col("status") != ForwardStatus.OK.value)
    return tuple(
        f"{venue} {expiry:%Y-%m-%d %H:%M}: {detail}"
        for venue, expiry, detail in doubtful.select("venue", "expiry", "detail").iter_rows()
    )


def _in_words(cleaned: CleanedChain) -> str:
    counts = [f"{count} {reason} ({scope})" for reason, scope, count in cleaned.drops.iter_rows()]
    return ", ".join(counts) or "nothing"


def _surface(
    quotes: QuoteVols,
    selection: QuoteSelection,
    params: FloatArray,
    curve: ForwardCurve,
    index: float | None,
    clock: VarianceClock | None,
) -> EssviSurface:
    return EssviSurface(
        underlying=quotes.underlying,
        ts_ns=quotes.ts_ns,
        expiries=selection.expiries,
        taus=selection.packed.taus,
        theta=params[:, 0],
        rho=params[:, 1],
        psi=params[:, 2],
        forwards=_forwards(quotes, selection, curve),
        index=index,
        clock=clock,
    )


def _forwards(quotes: QuoteVols, selection: QuoteSelection, curve: ForwardCurve) -> FloatArray:
    """Pooled forwards; where none could be pooled, the median of those the fitted rows carry."""
    pooled = dict(zip(curve.expiry_ns.tolist(), curve.forwards.tolist(), strict=True))
    own = np.split(quotes.forward[selection.rows], selection.packed.offsets[1:-1])
    return np.array(
        [
            pooled.get(expiry, float(np.median(rows)))
            for expiry, rows in zip(selection.expiries.tolist(), own, strict=True)
        ]
    )


def _index(chain: pl.DataFrame) -> float | None:
    known = chain["index"].drop_nulls()
    value = known.filter(known > 0.0).median()
    return float(value) if isinstance(value, float) else None
