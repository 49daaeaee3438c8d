"""Biases of venues, found by the fusion, taken off the stream's quotes."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.surface import essvi_total_variance
from ivhedge.surface.fusion import FusionSettings, VenueModel, VenueQuotes, fuse
from ivhedge.surface.stream import QuoteColumns, SurfaceStream, Universe
from ivhedge.surface.stream import _kernel as kernel
from tests.surface.stream._bed import PER, T0, fresh, quotes, truth, universe, vols

SECOND = 1_000_000_000
ALL = np.arange(4 * PER)
VENUES = ("a", "b", "c")
LEVEL = np.array([0.0, 0.02, -0.015])
SLOPE = np.array([0.0, 0.004, 0.0])


def error_of(market: Universe, venue: int, rng: np.random.Generator) -> np.ndarray:
    t = truth()
    e = np.arange(ALL.size) // PER
    z = np.log(market.strike / 90_000.0) / np.sqrt(t.theta[e])
    return LEVEL[venue] + SLOPE[venue] * np.clip(z, -3.0, 3.0) + rng.normal(0.0, 0.001, ALL.size)


@pytest.fixture(scope="module")
def model() -> VenueModel:
    rng, market, t = np.random.default_rng(0), universe(VENUES), truth()
    k, e = np.log(market.strike / 90_000.0), np.arange(ALL.size) // PER
    vol = np.sqrt(essvi_total_variance(k, t.theta[e], t.rho[e], t.psi[e]) / t.taus[e])
    mid = np.concatenate([vol + error_of(market, v, rng) for v in range(3)])
    packed = VenueQuotes.from_arrays(
        ts_ns=T0, underlying="BTC", venue=np.repeat(VENUES, ALL.size).tolist(),
        expiry_ns=np.tile(market.expiry_ns, 3), log_moneyness=np.tile(k, 3), bid_vol=mid - 0.005,
        ask_vol=mid + 0.005,
    )  # fmt: skip
    return fuse(packed, settings=FusionSettings(anchor="a")).model


def feed(market: Universe) -> list[QuoteColumns]:
    rng = np.random.default_rng(1)
    return [
        quotes(market, truth(), ALL, T0 + SECOND, error=error_of(market, v, rng), venue=v) for v in range(3)
    ]


def off(stream: SurfaceStream) -> float:
    snap = stream.snapshot(T0 + SECOND)
    assert not snap.held
    return float(np.sqrt(np.mean((vols(snap.surface) - vols(truth(ts_ns=T0 + SECOND))) ** 2)))


def test_corrected_quotes_find_the_true_surface(model: VenueModel) -> None:
    market, plain = fresh(VENUES)
    _, before = fresh(VENUES)
    _, after = fresh(VENUES)
    before.correct(model)
    for q in feed(market):
        plain.on_quotes(q)
        before.on_quotes(q)
        after.on_quotes(q)
    after.correct(model)
    assert off(plain) > 1.5e-3
    assert off(before) < 5e-4
    # Standing quotes are corrected as new ones are.
    np.testing.assert_allclose(
        vols(after.snapshot(T0 + SECOND).surface), vols(before.snapshot(T0 + SECOND).surface), atol=2e-5
    )


def test_correcting_twice_is_correcting_once(model: VenueModel) -> None:
    market, stream = fresh(VENUES)
    for q in feed(market):
        stream.on_quotes(q)
    stream.correct(model)
    once = stream._state.slots[:, [kernel.VOL, kernel.NOISE]].copy()
    stream.correct(model)
    np.testing.assert_allclose(stream._state.slots[:, [kernel.VOL, kernel.NOISE]], once, rtol=1e-12)


def test_copies_count_less(model: VenueModel) -> None:
    correlation = np.zeros((3, 3))
    correlation[1, 2] = correlation[2, 1] = 0.8
    market, stream = fresh(VENUES)
    for q in feed(market):
        stream.on_quotes(q)
    stream.correct(model)
    alone = stream._state.slots[:, kernel.NOISE].copy()
    stream.correct(replace(model, correlation=correlation))
    share = (stream._state.slots[:, kernel.NOISE] / alone).reshape(3, -1)
    np.testing.assert_allclose(share, np.array([1.0, 1.8, 1.8])[:, None] * np.ones_like(share))


def test_unknown_venues_are_taken_as_they_quote_and_other_coins_refused(model: VenueModel) -> None:
    market, stream = fresh(("a", "stranger"))
    q = quotes(market, truth(), ALL, T0 + SECOND, venue=1)
    stream.on_quotes(q)
    raw = stream._state.slots.copy()
    stream.correct(model)
    np.testing.assert_array_equal(stream._state.slots, raw)
    with pytest.raises(ConfigError, match="ETH"):
        stream.correct(replace(model, underlying="ETH"))


def test_a_model_replaces_the_one_before(model: VenueModel) -> None:
    market, stream = fresh(VENUES)
    _, other = fresh(VENUES)
    for q in feed(market):
        stream.on_quotes(q)
        other.on_quotes(q)
    without = VenueQuotes.from_arrays(
        ts_ns=T0, underlying="BTC", venue=np.repeat(("a", "c"), 2 * PER).tolist(),
        expiry_ns=np.tile(market.expiry_ns[: 2 * PER], 2),
        log_moneyness=np.tile(np.log(market.strike[: 2 * PER] / 90_000.0), 2),
        bid_vol=np.full(4 * PER, 0.59), ask_vol=np.full(4 * PER, 0.61),
    )  # fmt: skip
    stranger = fuse(without, settings=FusionSettings(anchor="a")).model
    stream.correct(model)
    stream.correct(stranger)
    other.correct(stranger)
    assert "b" not in stranger.venues
    columns = [kernel.VOL, kernel.NOISE]
    np.testing.assert_allclose(stream._state.slots[:, columns], other._state.slots[:, columns], rtol=1e-12)


@pytest.mark.parametrize("wrong", ["bias", "scale", "likeness"])
def test_a_model_without_numbers_is_refused_and_changes_nothing(model: VenueModel, wrong: str) -> None:
    market, stream = fresh(VENUES)
    for q in feed(market):
        stream.on_quotes(q)
    stream.correct(model)
    before = stream._state.slots.copy(), stream._state.biases.copy()
    bad = {
        "bias": {"state": replace(model.state, mean=np.full_like(model.state.mean, np.nan))},
        "scale": {"noise_scale": {**model.noise_scale, "b": np.nan}},
        "likeness": {"correlation": np.full((3, 3), np.nan)},
    }[wrong]
    with pytest.raises(DataError, match="estimate the model anew"):
        stream.correct(replace(model, **bad))
    np.testing.assert_array_equal(stream._state.slots, before[0])
    np.testing.assert_array_equal(stream._state.biases, before[1])
