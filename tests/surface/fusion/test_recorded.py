"""A recorded chain of one venue: alone, and split into pseudo-venues with planted biases."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ivhedge.market import read_chains
from ivhedge.surface import fit_surface
from ivhedge.surface.fusion import BiasStatus, FusionSettings, VenueQuotes, fuse, venue_quotes

LEVEL, HALF = (0.0, 0.0060, -0.0045), (0.006, 0.012, 0.012)
NAMES = ("pseudo-a", "pseudo-b", "pseudo-c")


@pytest.fixture(scope="module")
def chain(recorded: Path) -> pl.DataFrame:
    chains = read_chains(recorded / "deribit_chains" / "BTC" / "2026-03.parquet")
    return chains.filter(pl.col("ts") == chains["ts"].unique().sort()[40])


@pytest.mark.recorded
def test_one_venue_alone_gives_its_own_surface_and_no_bias(chain: pl.DataFrame) -> None:
    fused = fuse(chain)
    assert set(fused.model.biases()["status"]) == {BiasStatus.UNIDENTIFIED}
    assert fused.fit.certificate.valid
    near = fused.quotes
    k, taus = near.log_moneyness, near.taus[near.expiry]
    inside = (np.abs(near.standard_moneyness) < 1.5) & (taus > 3.0 / 365.0)
    gap = fused.fit.surface.implied_vol(k, taus) - fit_surface(chain).surface.implied_vol(k, taus)
    assert float(np.median(np.abs(gap[inside]))) < 2.5e-3


@pytest.mark.recorded
def test_planted_biases_of_pseudo_venues_are_found(chain: pl.DataFrame) -> None:
    own, rng = venue_quotes(chain), np.random.default_rng(0)
    parts = []
    for v, name in enumerate(NAMES):
        keep = np.flatnonzero(rng.random(len(own)) < (1.0, 0.6, 0.6)[v])
        half = np.maximum(own.half_spread[keep], HALF[v])
        noise = 0.35 * half * rng.standard_normal(keep.size) if v else 0.0
        vol = own.vol[keep] + LEVEL[v] + noise
        half = np.minimum(half, 0.9 * vol)
        expiry, k = own.expiry_ns[own.expiry[keep]], own.log_moneyness[keep]
        parts.append((np.full(keep.size, name), expiry, k, vol - half, vol + half))
    venue, expiry, k, bid, ask = (np.concatenate(column) for column in zip(*parts, strict=True))
    packed = VenueQuotes.from_arrays(
        ts_ns=own.ts_ns,
        underlying="BTC",
        venue=venue.tolist(),
        expiry_ns=expiry,
        log_moneyness=k,
        bid_vol=bid,
        ask_vol=ask,
    )
    state = fuse(packed, settings=FusionSettings(anchor=NAMES[0])).model.state
    value, error = state.at(0)
    assert (error[1:, 0] < 1.5e-3).all()
    np.testing.assert_array_less(np.abs(value[:, 0] - LEVEL), 4.0 * error[:, 0] + 1e-9)
