"""The whole way from a chain to a published surface."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import (
    ArbitrageError,
    CalibrationError,
    ConfigError,
    DataError,
    EmptyData,
    SchemaError,
)
from ivhedge.market import estimate_forwards, read_chains
from ivhedge.surface import (
    ArbitrageCertificate,
    EssviSurface,
    FitSettings,
    FlexibleSurface,
    SelectionRules,
    SurfaceFit,
    SurfaceModel,
    certify,
    fit_surface,
)
from ivhedge.surface.flexible import SliceStatus

Maker = Callable[..., pl.DataFrame]


def vol_gap(fit: SurfaceFit, truth: EssviSurface) -> float:
    """Root mean square distance in vol within ±2 standard deviations of every expiry."""
    k = np.linspace(-2, 2, 21) * np.sqrt(truth.theta)[:, None]
    taus = truth.taus[:, None]
    gap = fit.surface.implied_vol(k, taus) - truth.implied_vol(k, taus)
    return float(np.sqrt(np.mean(gap**2)))


def test_truth_is_recovered(chain_of: Maker, truth_surface: EssviSurface) -> None:
    fit = fit_surface(chain_of(truth_surface))
    # The mid price of a symmetric vol quote is not the price of its mid vol; the far wing feels it.
    assert vol_gap(fit, truth_surface) < 5e-4
    assert fit.certificate.valid
    assert fit.certificate.proven
    assert fit.published() is fit.surface
    np.testing.assert_allclose(fit.surface.forwards, truth_surface.forwards, rtol=1e-9)
    assert fit.surface.index == 90_000.0
    np.testing.assert_array_equal(fit.surface.expiries, truth_surface.expiries)


def test_report_tells_what_happened(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    broken = chain.with_columns(pl.when(pl.col("strike") > 1e5).then(pl.col("bid")).alias("bid"))
    report = fit_surface(broken).report
    assert report.inside_bid_ask == 1.0
    assert report.rmse_vol < 1e-3
    assert report.median_error_vol < 1e-3
    assert report.n_quotes + report.n_bounds + report.drops["count"].sum() == chain.height
    assert report.n_bounds_held == report.n_bounds > 0
    assert report.by_tenor["tenor"].to_list() == ["<3d", "3-14d", "14-90d", ">90d"]
    assert report.by_tenor["n_quotes"].sum() == report.n_quotes
    assert report.worst.height == 10
    assert report.arbitrage_free
    assert "rounds" in report.reason


def test_gross_outliers_are_listed_and_harmless(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface).with_row_index("row")
    wrong = pl.col("row") % 17 == 0
    chain = chain.with_columns(
        pl.when(wrong).then(pl.col(side) * 1.6).otherwise(pl.col(side)).alias(side) for side in ("bid", "ask")
    ).drop("row")
    fit = fit_surface(chain)
    assert vol_gap(fit, truth_surface) < 2e-3
    assert fit.report.n_rejected == fit.report.rejected.height > 5
    assert fit.report.rejected["robust_weight"].max() < 0.01


def test_order_of_rows_does_not_matter(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = pl.concat([chain_of(truth_surface), chain_of(truth_surface, venue="cirrus", bias=0.001)])
    shuffled = chain.sample(fraction=1.0, shuffle=True, seed=7)
    first, second = fit_surface(chain).surface, fit_surface(shuffled).surface
    np.testing.assert_allclose(first.theta, second.theta, rtol=1e-12)
    np.testing.assert_allclose(first.rho, second.rho, atol=1e-12)
    np.testing.assert_allclose(first.psi, second.psi, rtol=1e-12)


def test_doubled_rows_are_counted_once(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    once, twice = fit_surface(chain), fit_surface(pl.concat([chain, chain]))
    np.testing.assert_allclose(once.surface.theta, twice.surface.theta, rtol=1e-12)
    assert twice.report.drops.filter(pl.col("reason") == "duplicate")["count"].sum() == chain.height


@pytest.mark.parametrize(
    ("bias", "limit"), [(0.01, 0.0025), (0.04, 0.006)], ids=["one vol point", "four vol points"]
)
def test_stale_biased_venue_does_not_move_the_surface(
    chain_of: Maker, truth_surface: EssviSurface, bias: float, limit: float
) -> None:
    fresh = chain_of(truth_surface, venue="fresh", age_s=1.0)
    stale = chain_of(truth_surface, venue="stale", age_s=300.0, bias=bias)
    fit = fit_surface(pl.concat([fresh, stale]))
    # The stale venue takes part (else the test shows nothing), and pulls by less than its weight.
    assert fit.report.n_quotes > 1.5 * fit_surface(fresh).report.n_quotes
    assert vol_gap(fit, truth_surface) < limit


@pytest.mark.parametrize("n_strikes", [25, 125])
def test_wide_biased_venue_does_not_move_the_surface(
    chain_of: Maker, truth_surface: EssviSurface, n_strikes: int
) -> None:
    tight = chain_of(truth_surface, venue="tight")
    wide = chain_of(truth_surface, venue="wide", bias=0.01, half_spread=0.015, n_strikes=n_strikes)
    fit = fit_surface(pl.concat([tight, wide]))
    assert fit.report.n_quotes > 1.5 * fit_surface(tight).report.n_quotes
    assert vol_gap(fit, truth_surface) < 0.0035


def test_warm_start_equals_cold_fit(chain_of: Maker, truth_surface: EssviSurface) -> None:
    before = fit_surface(chain_of(truth_surface, bias=0.01)).surface
    chain = chain_of(truth_surface)
    cold, warm = fit_surface(chain), fit_surface(chain, start=before)
    assert warm.report.warm_start
    assert not cold.report.warm_start
    k = np.linspace(-0.3, 0.3, 13)
    for tau in truth_surface.taus:
        np.testing.assert_allclose(
            warm.surface.implied_vol(k, tau), cold.surface.implied_vol(k, tau), atol=3e-4
        )


def test_given_forwards_are_used(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    curve = estimate_forwards(chain)
    fit = fit_surface(chain, forwards=curve)
    assert fit.forwards is curve


def test_one_expiry_is_enough(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    fit = fit_surface(chain.filter(pl.col("expiry") == pl.col("expiry").max()))
    assert fit.certificate.valid
    assert fit.surface.expiries.size == 1


def test_calendar_inverted_quotes_are_certified_and_the_misfit_shown(
    chain_of: Maker, truth_surface: EssviSurface
) -> None:
    inverted = replace(truth_surface, theta=truth_surface.theta * np.where(np.arange(10) == 6, 0.4, 1.0))
    fit = fit_surface(chain_of(inverted))
    assert fit.certificate.valid
    assert fit.report.inside_bid_ask < 0.95


def test_two_underlyings_are_refused(chain_of: Maker, truth_surface: EssviSurface) -> None:
    other = chain_of(replace(truth_surface, underlying="ETH"))
    with pytest.raises(DataError, match=r"one underlying.*snapshots"):
        fit_surface(pl.concat([chain_of(truth_surface), other]))


def test_two_times_are_refused(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    with pytest.raises(DataError, match="one time"):
        fit_surface(pl.concat([chain, chain.with_columns(pl.col("ts").dt.offset_by("1s"))]))


def test_empty_chain_is_refused(chain_of: Maker, truth_surface: EssviSurface) -> None:
    with pytest.raises(EmptyData, match="no rows"):
        fit_surface(chain_of(truth_surface).clear())


def test_missing_column_is_refused(chain_of: Maker, truth_surface: EssviSurface) -> None:
    with pytest.raises(SchemaError, match="strike"):
        fit_surface(chain_of(truth_surface).drop("strike"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"bid": None, "ask": None}, "no_quote"),
        ({"bid": 0.2, "ask": 0.1}, "crossed|outside_bounds"),
        ({"bid": float("nan"), "ask": float("nan")}, "no_quote"),
        ({"bid": -1.0}, "one_sided"),
    ],
)
def test_all_quotes_bad_is_a_calibration_error(
    chain_of: Maker, truth_surface: EssviSurface, bad: dict[str, float | None], reason: str
) -> None:
    values = [pl.lit(value, dtype=pl.Float64()).alias(name) for name, value in bad.items()]
    with pytest.raises(CalibrationError, match=reason):
        fit_surface(chain_of(truth_surface).with_columns(values))


def test_start_of_another_underlying_is_refused(chain_of: Maker, truth_surface: EssviSurface) -> None:
    with pytest.raises(ConfigError, match="BTC"):
        fit_surface(chain_of(truth_surface), start=replace(truth_surface, underlying="ETH"))


def test_surface_without_certificate_is_not_published(chain_of: Maker, truth_surface: EssviSurface) -> None:
    fit = fit_surface(chain_of(truth_surface))
    crossed = replace(fit.surface, theta=fit.surface.theta[::-1].copy())
    bad = replace(fit, surface=crossed, certificate=certify(crossed))
    with pytest.raises(ArbitrageError, match="stale"):
        bad.published()


@pytest.mark.recorded
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_recorded_chains_give_certified_surfaces(recorded: Path, coin: str) -> None:
    chains = read_chains(recorded / "deribit_chains" / coin)
    times = chains["ts"].unique().sort()
    chosen = times.gather(np.linspace(0, times.len() - 1, 20).astype(int).tolist())
    inside, quotes = 0.0, 0
    for _, chain in chains.filter(pl.col("ts").is_in(chosen.implode())).group_by("ts", maintain_order=True):
        fit = fit_surface(chain)
        assert fit.certificate.valid, fit.certificate.violations[:2]
        assert fit.certificate.proven
        assert fit.report.median_error_vol < 0.015
        inside += fit.report.inside_bid_ask * fit.report.n_quotes
        quotes += fit.report.n_quotes
    # Three numbers per expiry: 60 % (BTC) and 83 % (ETH) when this was written.
    assert inside / quotes > {"BTC": 0.55, "ETH": 0.78}[coin]


FLEXIBLE = FitSettings(model=SurfaceModel.FLEXIBLE)


@pytest.mark.parametrize("model", list(SurfaceModel))
def test_an_old_venue_has_no_say_beside_a_fresh_one(
    chain_of: Maker, truth_surface: EssviSurface, model: SurfaceModel
) -> None:
    fresh = chain_of(truth_surface, age_s=1.0)
    old = chain_of(truth_surface, venue="borealis", bias=0.015, age_s=590.0)
    fit = fit_surface(pl.concat([fresh, old]), settings=FitSettings(model=model))
    assert vol_gap(fit, truth_surface) < 1e-3


def test_given_forwards_price_the_quotes(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    curve = estimate_forwards(chain)
    wrong = chain.with_columns(forward=1.01 * pl.col("forward"))
    fit = fit_surface(wrong, forwards=curve)
    assert vol_gap(fit, truth_surface) < 1e-3
    np.testing.assert_allclose(fit.surface.forwards, curve.forwards)
    with pytest.raises(ConfigError, match="expected forwards at"):
        fit_surface(chain, forwards=replace(curve, ts_ns=curve.ts_ns - 1))
    with pytest.raises(ConfigError, match="expected forwards of BTC, found ETH"):
        fit_surface(chain, forwards=replace(curve, underlying="ETH"))


def test_a_flexible_surface_is_a_start_too(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    fit = fit_surface(chain, settings=FLEXIBLE)
    assert fit_surface(chain, start=fit.surface).report.warm_start
    again = fit_surface(chain, settings=FLEXIBLE, start=fit)
    assert again.flexible is not None
    assert fit.flexible is not None
    assert sum(again.flexible.iterations) < sum(fit.flexible.iterations)


def test_the_report_repeats_the_verdict(
    chain_of: Maker, truth_surface: EssviSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = certify(truth_surface)
    refused = replace(honest, valid=False, proven=False)
    monkeypatch.setattr("ivhedge.surface.fit.certify", lambda *_, **__: refused)
    fit = fit_surface(chain_of(truth_surface))
    assert not fit.report.arbitrage_free
    with pytest.raises(ArbitrageError):
        fit.published()


def test_a_flexible_surface_without_certificate_gives_way_to_the_backbone(
    chain_of: Maker, truth_surface: EssviSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_the_backbone(surface: FlexibleSurface, **_: object) -> ArbitrageCertificate:
        found = certify(surface)
        return found if surface.mix == 1.0 else replace(found, valid=False, proven=False)

    monkeypatch.setattr("ivhedge.surface.fit.certify", only_the_backbone)
    fit = fit_surface(chain_of(truth_surface), settings=FLEXIBLE)
    assert fit.certificate.valid
    assert fit.flexible is not None
    assert fit.flexible.mix == 1.0
    assert set(fit.report.by_expiry["status"]) == {SliceStatus.NOT_MENDED.value}
    assert fit.report.n_rejected == 0
    k = np.linspace(-0.1, 0.1, 5)
    tau = truth_surface.taus[4]
    np.testing.assert_allclose(fit.surface.implied_vol(k, tau), fit.backbone.implied_vol(k, tau), rtol=1e-9)


def test_quotes_that_nobody_judged_are_not_rejected(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    third = pl.col("expiry") == chain["expiry"].unique().sort()[3]
    asks = chain.with_columns(bid=pl.when(third).then(None).otherwise(pl.col("bid")))
    report = fit_surface(asks, settings=FLEXIBLE).report
    row = report.by_expiry.row(3, named=True)
    assert row["status"] == SliceStatus.BACKBONE.value
    assert row["n_bounds"] > 0
    assert row["n_rejected"] == 0
    assert "rejected" not in report.reason


def test_expiries_too_short_are_not_called_old(chain_of: Maker, truth_surface: EssviSurface) -> None:
    fresh = chain_of(truth_surface, age_s=0.0)
    first = pl.col("expiry") == pl.col("expiry").min()
    # Older than the others, and within 30 hours of expiry.
    event = pl.when(first).then(pl.col("ts_event") - pl.duration(seconds=5)).otherwise(pl.col("ts_event"))
    chain = fresh.with_columns(event.alias("ts_event"))
    settings = replace(FLEXIBLE, selection=SelectionRules(min_hours=30.0))
    report = fit_surface(chain, settings=settings).report
    counts = dict(report.drops.filter(pl.col("scope") == "fit").select("reason", "count").iter_rows())
    assert counts["too_short"] == chain.filter(first).height
    assert "no_weight" not in counts
    assert truth_surface.expiries[0] not in report.by_expiry["expiry"].dt.epoch("ns").to_list()
