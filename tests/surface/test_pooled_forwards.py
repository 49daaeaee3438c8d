"""Forwards of a surface: the pooled ones, not those of any venue or of the rows that were fitted."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ivhedge.market import estimate_forwards
from ivhedge.surface import EssviSurface, FitSettings, SurfaceModel, fit_surface

Maker = Callable[..., pl.DataFrame]


@pytest.mark.parametrize("model", [SurfaceModel.ESSVI, SurfaceModel.FLEXIBLE])
def test_two_venues_with_their_own_forwards_share_the_pooled_one(
    chain_of: Maker, truth_surface: EssviSurface, model: SurfaceModel
) -> None:
    other = replace(truth_surface, forwards=truth_surface.forwards * 1.0004)
    tight = chain_of(truth_surface, venue="tight", half_spread=0.002)
    wide = chain_of(other, venue="wide", half_spread=0.006, n_strikes=60)
    chain = pl.concat([tight, wide])
    fit = fit_surface(chain, settings=FitSettings(model=model))
    curve = estimate_forwards(chain)
    pooled = np.array([curve.forward_of(e) for e in fit.surface.expiries.tolist()])
    np.testing.assert_allclose([float(fit.surface.forward(t)) for t in fit.surface.taus], pooled, rtol=1e-12)
    # Most rows are the wide venue's: a median over rows would be its forward.
    assert (np.abs(pooled / other.forwards[: pooled.size] - 1.0) > 5e-5).all()
    assert (np.abs(pooled / truth_surface.forwards[: pooled.size] - 1.0) < 4e-4).all()
