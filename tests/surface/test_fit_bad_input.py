"""Broken expiries: the others stand, the broken one is explained, nothing fails deep inside."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import CalibrationError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.surface import EssviSurface, FitSettings, FlexibleSettings, SurfaceFit, SurfaceModel, fit_surface

Maker = Callable[..., pl.DataFrame]
Change = Callable[[pl.DataFrame], pl.DataFrame]

BROKEN = 3
"""Number of the expiry that is broken: one week."""

MODELS = (SurfaceModel.ESSVI, SurfaceModel.FLEXIBLE)


def only(chain: pl.DataFrame, count: int) -> pl.DataFrame:
    """The `count` rows nearest to the money."""
    return chain.sort((pl.col("strike") / pl.col("forward")).log().abs(), "is_call").head(count)


CHANGES: dict[str, Change] = {
    "one quote": lambda rows: only(rows, 1),
    "only calls": lambda rows: rows.filter("is_call"),
    "only puts": lambda rows: rows.filter(~pl.col("is_call")),
    "no bids": lambda rows: rows.with_columns(bid=pl.lit(None, dtype=pl.Float64())),
    "no asks": lambda rows: rows.with_columns(ask=pl.lit(None, dtype=pl.Float64())),
    "all stale": lambda rows: rows.with_columns(ts_event=pl.col("ts").dt.offset_by("-3h")),
    "crossed": lambda rows: rows.with_columns(bid=pl.col("ask"), ask=pl.col("bid")),
    "forward against parity": lambda rows: rows.with_columns(forward=1.1 * pl.col("forward")),
    "every row twice": lambda rows: pl.concat([rows, rows]),
    "rows reversed": lambda rows: rows.reverse(),
    "not a number": lambda rows: rows.with_columns(bid=pl.lit(float("nan")), ask=pl.lit(float("nan"))),
    "zero prices": lambda rows: rows.with_columns(bid=pl.lit(0.0), ask=pl.lit(0.0)),
    "prices above the forward": lambda rows: rows.with_columns(bid=pl.lit(1.5), ask=pl.lit(1.6)),
    "one price for all": lambda rows: rows.with_columns(bid=pl.lit(0.01), ask=pl.lit(0.011)),
}


def fitted(chain: pl.DataFrame, model: SurfaceModel) -> SurfaceFit:
    return fit_surface(chain, settings=FitSettings(model=model, flexible=FlexibleSettings()))


def gaps(fit: SurfaceFit, truth: EssviSurface, skip: int) -> np.ndarray:
    """Distance in vol within ±1.5 standard deviations, for the expiries that are not broken."""
    good = np.arange(truth.taus.size) != skip
    k = np.linspace(-1.5, 1.5, 13) * np.sqrt(truth.theta)[:, None]
    taus = truth.taus[:, None]
    gap = np.abs(fit.surface.implied_vol(k, taus) - truth.implied_vol(k, taus))
    return np.asarray(gap.max(axis=1)[good])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name.replace(" ", "_"))
def test_a_broken_expiry_leaves_the_others_alone(
    chain_of: Maker, truth_surface: EssviSurface, change: str, model: SurfaceModel
) -> None:
    chain = chain_of(truth_surface, age_s=1.0)
    expiries = chain["expiry"].unique().sort()
    broken = pl.col("expiry") == expiries[BROKEN]
    chain = pl.concat([chain.filter(~broken), CHANGES[change](chain.filter(broken))])
    fit = fitted(chain, model)
    assert fit.certificate.valid
    # The two neighbours may lean on the broken expiry through the calendar; they stay near the truth.
    assert np.sort(gaps(fit, truth_surface, BROKEN))[:-2].max() < 0.004
    assert gaps(fit, truth_surface, BROKEN).max() < 0.02
    # What is not fitted is counted somewhere.
    report = fit.report
    removed = report.drops.filter(pl.col("scope") != "ask", pl.col("scope") != "bid")["count"].sum()
    assert report.n_quotes + report.n_bounds + removed == chain.height


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("vol", [0.01, 9.0])
def test_extreme_vols(chain_of: Maker, truth_surface: EssviSurface, vol: float, model: SurfaceModel) -> None:
    scale = (vol / float(truth_surface.implied_vol(0.0, truth_surface.taus[4]))) ** 2
    few = slice(0, 5)
    extreme = EssviSurface(
        underlying="BTC",
        ts_ns=truth_surface.ts_ns,
        expiries=truth_surface.expiries[few],
        taus=truth_surface.taus[few],
        theta=truth_surface.theta[few] * scale,
        rho=truth_surface.rho[few],
        psi=truth_surface.psi[few] * np.sqrt(scale),
        forwards=truth_surface.forwards[few],
        index=truth_surface.index,
    )
    fit = fitted(chain_of(extreme, half_spread=0.01 * vol), model)
    assert fit.certificate.valid
    np.testing.assert_allclose(
        fit.surface.implied_vol(0.0, extreme.taus), extreme.implied_vol(0.0, extreme.taus), rtol=0.02
    )


@pytest.mark.parametrize("model", MODELS)
def test_two_expiries_an_hour_apart(
    chain_of: Maker, truth_surface: EssviSurface, model: SurfaceModel
) -> None:
    hour = NS_PER_HOUR
    expiries = np.sort(np.append(truth_surface.expiries, truth_surface.expiries[3] + hour))
    taus = (expiries - truth_surface.ts_ns) / (365 * 24 * hour)
    theta, rho, psi = truth_surface.slice_parameters(taus)
    close = replace(
        truth_surface,
        expiries=expiries,
        taus=taus,
        theta=theta,
        rho=rho,
        psi=psi,
        forwards=truth_surface.forward(taus),
    )
    fit = fitted(chain_of(close), model)
    assert fit.certificate.valid
    assert fit.report.inside_bid_ask > 0.99
    assert fit.surface.expiries.size == expiries.size


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("change", ["no bids", "crossed", "not a number", "one quote"])
def test_nothing_but_broken_expiries(
    chain_of: Maker, truth_surface: EssviSurface, change: str, model: SurfaceModel
) -> None:
    chain = chain_of(truth_surface)
    parts = [CHANGES[change](rows) for rows in chain.partition_by("expiry")]
    # The message says what was found and what to do.
    with pytest.raises(CalibrationError, match=r"found none.*check"):
        fitted(pl.concat(parts), model)
