"""The whole way from a simulated chain of five venues."""

import json
from functools import lru_cache

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import DataError, EmptyData
from ivhedge.surface.fusion import (
    FusedSurface,
    FusionSettings,
    StaleDetector,
    VenueState,
    fuse,
    venue_health,
    venue_quotes,
)
from tests.surface.fusion._market import simulated

SETTINGS = FusionSettings(anchor="aurora")


@lru_cache(maxsize=1)
def fused() -> FusedSurface:
    return fuse(simulated()[0], settings=SETTINGS)


def test_biases_of_the_simulator_are_found() -> None:
    truth = {row["venue"]: row for row in simulated()[1].iter_rows(named=True)}
    table = fused().model.biases().filter(pl.col("expiry").is_null())
    for row in table.iter_rows(named=True):
        if row["venue"] in ("borealis", "cirrus", "dune"):
            right = truth[row["venue"]]
            assert abs(row["level_bias"] - right["level_bias"]) < max(4.0 * row["level_error"], 1e-4)
            assert abs(row["slope_bias"] - right["slope_bias"]) < max(4.0 * row["slope_error"], 1e-4)
            assert row["level_error"] < 3e-3
    assert fused().fit.certificate.valid
    assert fused().fit.published() is fused().fit.surface


def test_forward_bias_of_dollar_venues_is_their_index_basis() -> None:
    truth = simulated()[1].filter(pl.col("venue") == "dune")["index_basis"][0]
    table = fused().model.biases().filter((pl.col("venue") == "dune") & pl.col("forward_bias").is_not_null())
    gap = np.abs(table["forward_bias"].to_numpy() - truth)
    assert np.median(gap) < 3e-4
    assert (table["forward_error"] > 0.0).all()


def test_every_row_is_used_or_counted() -> None:
    chain, _ = simulated()
    quotes = venue_quotes(chain)
    counts = np.bincount(quotes.venue, minlength=len(quotes.venues))
    for v, name in enumerate(quotes.venues):
        listed = chain.filter(pl.col("venue") == name).height
        assert counts[v] + sum(quotes.excluded[name].values()) == listed


def test_crossed_and_nan_rows_are_counted_by_venue() -> None:
    chain, _ = simulated()
    first = (pl.col("venue") == "cirrus") & (pl.int_range(pl.len()).over("venue") < 5)
    bad = chain.with_columns(
        bid=pl.when(first).then(10.0).otherwise(pl.col("bid")),
        ask=pl.when(first).then(1e-3).otherwise(pl.col("ask")),
    )
    before, after = venue_quotes(chain).excluded["cirrus"], venue_quotes(bad).excluded["cirrus"]
    assert sum(after.values()) > 0
    assert after != before
    assert venue_quotes(bad).excluded["aurora"] == venue_quotes(chain).excluded["aurora"]


def test_health_report_is_plain() -> None:
    detector = StaleDetector()
    watch = detector.update(0, {"aurora": {1: 0.5, 2: 0.5, 3: 0.5}})
    report = venue_health(fused(), watch)
    assert sorted(report) == ["aurora", "borealis", "cirrus", "dune", "ember"]
    assert sum(health.share for health in report.values()) == pytest.approx(1.0)
    assert report["aurora"].state == VenueState.LIVE
    assert report["aurora"].bias_status == "reference"
    low, high = report["borealis"].level_interval
    assert low < report["borealis"].level_bias < high
    assert json.loads(json.dumps(report["ember"].to_dict()))["venue"] == "ember"


def test_lost_venue_is_absent_in_the_report() -> None:
    chain, _ = simulated()
    later = fuse(chain.filter(pl.col("venue") != "aurora"), fused().model, settings=SETTINGS)
    health = venue_health(later)["aurora"]
    assert health.state == VenueState.ABSENT
    assert health.n_quotes == 0
    assert health.share == 0.0
    assert later.n_held > 0


def test_no_rows() -> None:
    chain, _ = simulated()
    with pytest.raises(EmptyData):
        venue_quotes(chain.head(0))
    with pytest.raises(DataError):
        venue_quotes(pl.concat([chain, chain.with_columns(underlying=pl.lit("ETH"))]))


def test_lags_travel_with_the_model() -> None:
    model = fused().model.with_lags({"borealis": (0.4, 0.1)})
    table = model.biases()
    assert set(table.filter(pl.col("venue") == "borealis")["lag_s"]) == {0.4}
    assert table.filter(pl.col("venue") == "cirrus")["lag_s"].is_null().all()


def test_mid_vols_keep_their_keys_from_one_second_to_the_next() -> None:
    chain, _ = simulated()
    aurora = chain.filter(pl.col("venue").is_in(["aurora", "borealis"]))
    later = aurora.with_columns(ts=pl.col("ts") + pl.duration(seconds=1)).filter(
        pl.col("strike") > chain["strike"].min()
    )
    one, two = (venue_quotes(c).mid_vols() for c in (aurora, later))
    for name in ("aurora", "borealis"):
        shared = set(one[name]) & set(two[name])
        assert len(shared) > 0.95 * len(two[name])
        # Nothing but the clock has moved.
        assert max(abs(one[name][key] - two[name][key]) for key in shared) < 1e-5
    assert len(set(one["aurora"]) & set(one["borealis"])) > 50
    quotes = venue_quotes(aurora)
    for v in range(2):
        assert len(set(quotes.instrument[quotes.venue == v].tolist())) == int((quotes.venue == v).sum())
    watch = StaleDetector().update(0, one)
    assert watch["aurora"].state == VenueState.LIVE
    assert venue_quotes(aurora).mid_vols(min_days=1e4) == {"aurora": {}, "borealis": {}}
