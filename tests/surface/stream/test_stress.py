"""When quotes run away, stop, or lie: the surface stays in place, its bars grow, and it says so."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.surface.stream import (
    SurfaceTrust,
    TrustSettings,
    TrustState,
    surface_trust,
)
from ivhedge.surface.stream import _kernel as kernel
from ivhedge.surface.stream._recency import LEAST, SHARE, behind
from ivhedge.surface.stream.snapshot import covariances
from tests.surface.stream._bed import FORWARD, PER, T0, fresh, quotes, truth, vols

SECOND = 1_000_000_000
ALL = np.arange(4 * PER)
ATM = np.zeros(4), np.arange(4)


def settled(noise: float = 0.0):
    """A stream that has seen everything once, and its market."""
    market, stream = fresh()
    error = np.random.default_rng(0).normal(0.0, noise, ALL.size) if noise else 0.0
    stream.on_quotes(quotes(market, truth(), ALL, T0 + SECOND, error=error))
    stream.snapshot(T0 + SECOND)
    return market, stream


def test_a_slice_that_loses_its_quotes_stays_where_it_was() -> None:
    market, stream = settled()
    known = stream.snapshot(T0 + SECOND)
    # All asks go, contract after contract; a few late and wild quotes are what is left of the first slice.
    wild = quotes(market, truth(), np.array([3, 9]), T0 + 2 * SECOND, error=np.array([0.2, -0.15]))
    stream.on_quotes(wild)
    away = np.setdiff1d(ALL, [3, 9])
    q = quotes(market, truth(), away, T0 + 2 * SECOND)
    q.ask[:] = 0.0
    stream.on_quotes(q)
    after = stream.snapshot(T0 + 3 * SECOND)
    assert after.quotes.tolist() == [2, 0, 0, 0]
    assert np.abs(vols(after.surface)[1:] - vols(known.surface)[1:]).max() < 1e-3
    assert np.abs(vols(after.surface)[0] - vols(known.surface)[0]).max() < 0.03
    assert not after.held
    assert after.certificate().valid
    assert after.stale.all()


def test_bars_go_on_growing_while_nothing_is_quoted() -> None:
    _, stream = settled()
    bars = [stream.snapshot(T0 + (1 + s) * SECOND).vol_error(*ATM) for s in (0, 60, 600, 3000, 7200)]
    for early, late in pairwise(bars):
        assert (late > early).all()
    # Half a point of vol per root year, at least.
    assert (bars[-1] > 0.9 * 0.5 * np.sqrt(7200 / 31_536_000)).all()


@pytest.mark.parametrize("speed", [0.0005, 0.002])
def test_bars_cover_a_ramp(speed: float) -> None:
    market, stream = settled(0.002)
    rng = np.random.default_rng(1)
    inside = []
    for second in range(2, 80):
        items = rng.integers(0, ALL.size, 12)
        now = T0 + second * SECOND
        error = speed * (second - 2) + rng.normal(0.0, 0.002, items.size)
        stream.on_quotes(quotes(market, truth(), items, now, error=error))
        snap = stream.snapshot(now)
        true = np.sqrt(truth().theta / truth().taus) + speed * (second - 2)
        off = np.abs(np.sqrt(snap.surface.theta / snap.surface.taus) - true)
        inside.append(off <= 1.96 * snap.vol_error(*ATM))
        assert not snap.held
    assert np.mean(inside) > 0.9


def test_calm_quotes_leave_no_lag() -> None:
    market, stream = settled(0.003)
    rng = np.random.default_rng(2)
    lags = []
    for second in range(2, 60):
        items, now = rng.integers(0, ALL.size, 12), T0 + second * SECOND
        stream.on_quotes(quotes(market, truth(), items, now, error=rng.normal(0.0, 0.003, items.size)))
        lags.append(stream.snapshot(now).lag)
    assert np.sqrt(np.median(lags)) < 5e-4


def test_a_stop_in_a_storm_widens_faster_than_one_in_calm() -> None:
    bars = []
    for speed in (0.0, 0.002):
        market, stream = settled()
        for second in range(2, 40):
            items = ALL[second % 2 :: 2]
            stream.on_quotes(quotes(market, truth(), items, T0 + second * SECOND, error=speed * (second - 2)))
            stream.snapshot(T0 + second * SECOND)
        bars.append(stream.snapshot(T0 + 100 * SECOND).vol_error(*ATM))
    assert (bars[1] > 0.03).all()
    assert (bars[0] < 0.01).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 80), jump=st.floats(-0.3, 0.3))
def test_behind_is_its_twin(seed: int, n: int, jump: float) -> None:
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 30, n).astype(np.float64)
    residual = rng.normal(0.0, 0.01, n) + np.where(age < 4, jump, 0.0)
    noise = rng.uniform(1e-6, 1e-4, n)
    found = behind(age, residual, noise)
    if n < 2 * LEAST:
        assert found == (0.0, 0.0)
        return
    new = age <= np.sort(age)[max(LEAST, n // SHARE) - 1]
    square = 0.0 if new.all() else np.median(residual[new]) ** 2
    twin = max(square - 4.0 * 1.5708 * np.median(noise[new]) / new.sum(), 0.0)
    assert found == pytest.approx((square, twin), rel=1e-12, abs=1e-300)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_covariance_is_its_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slices = np.zeros((3, kernel.S_COLUMNS))
    slices[:, 0], slices[:, 2] = rng.uniform(0.05, 2.0, 3), rng.uniform(0.1, 20.0, 3)
    slices[:, kernel.SCALE] = rng.uniform(0.3, 3.0, 3)
    h = rng.normal(0.0, 1.0, (3, 20, 3)) * np.array([1.0, 0.2, 0.01]) * 10.0 ** rng.uniform(-1.0, 2.5)
    full = np.einsum("eqi,eqj->eij", h, h)
    rows, columns = np.triu_indices(3)
    slices[:, kernel.EQ : kernel.EQ + 6] = full[:, rows, columns]
    scale = np.maximum(slices[:, kernel.SCALE], 1.0)[:, None, None] ** 2
    prior = np.stack((4.0 / slices[:, 0] ** 2, np.full(3, 4.0), 1.0 / slices[:, 2] ** 2), axis=-1)
    twin = np.linalg.inv(full / scale + prior[:, :, None] * np.eye(3))
    np.testing.assert_allclose(covariances(slices), twin, rtol=1e-7)


def trust_after(seconds: float) -> SurfaceTrust:
    _, stream = settled()
    return surface_trust(stream.snapshot(T0 + SECOND + int(seconds * SECOND)))


def test_trust_falls_with_silence_and_says_why() -> None:
    young, old, gone = trust_after(1.0), trust_after(60.0), trust_after(600.0)
    assert set(young.state) == {TrustState.GOOD}
    assert set(young.reasons) == {()}
    assert set(old.state) == {TrustState.DOUBTFUL}
    assert old.reasons[0] == ("quotes 60 s old",)
    assert set(gone.state) == {TrustState.BLIND}
    assert gone.surface_ns == T0 + SECOND
    assert gone.at(int(gone.expiries[0])) is TrustState.BLIND
    assert young.at(12345) is TrustState.BLIND


def test_trust_falls_with_the_error_the_number_of_quotes_and_a_held_surface() -> None:
    _, stream = settled()
    snap = stream.snapshot(T0 + SECOND)
    assert set(surface_trust(replace(snap, lag=np.full(4, 0.02**2))).state) == {TrustState.DOUBTFUL}
    assert set(surface_trust(replace(snap, lag=np.full(4, 0.05**2))).state) == {TrustState.BLIND}
    few = surface_trust(replace(snap, quotes=np.array([8, 7, 3, 2])))
    assert few.state == (TrustState.GOOD, TrustState.DOUBTFUL, TrustState.DOUBTFUL, TrustState.BLIND)
    held = surface_trust(replace(snap, held=True))
    assert set(held.state) == {TrustState.DOUBTFUL}
    assert "certified" in held.reasons[0][0]
    never = surface_trust(replace(snap, witnessed_ns=np.zeros(4, dtype=np.int64)))
    assert set(never.state) == {TrustState.BLIND}
    assert np.isinf(never.age_s).all()
    unknown = surface_trust(replace(snap, lag=np.full(4, np.nan)))
    assert set(unknown.state) == {TrustState.BLIND}
    late = surface_trust(replace(snap, held=True, ts_ns=T0 + 3000 * SECOND))
    assert set(late.state) == {TrustState.BLIND}


def test_one_quote_that_is_renewed_does_not_keep_a_slice_fresh() -> None:
    market, stream = settled()
    for second in range(10, 400, 10):
        wing = np.arange(4) * PER
        stream.on_quotes(quotes(market, truth(), wing, T0 + second * SECOND))
    trust = surface_trust(stream.snapshot(T0 + 391 * SECOND))
    assert set(trust.state) == {TrustState.BLIND}
    np.testing.assert_allclose(trust.age_s, 390.0)
    assert trust.surface_ns == T0 + SECOND


@pytest.mark.parametrize("joint", [False, True])
def test_a_slice_that_arbitrage_moves_has_bars_that_say_so(joint: bool) -> None:
    market, stream = settled()
    # The near slice alone rises by a full point of vol: every later one is moved for the calendar.
    stream.on_quotes(quotes(market, truth(), np.arange(PER), T0 + 3 * SECOND, error=1.0))
    stream.on_quotes(quotes(market, truth(), np.arange(PER, 4 * PER), T0 + 3 * SECOND))
    snap = stream.snapshot(T0 + 3 * SECOND, joint=joint)
    off = np.sqrt(snap.surface.theta / snap.surface.taus) - np.sqrt(truth().theta / truth().taus)
    moved = np.abs(off[1:]) > 0.02
    assert moved.any()
    assert (snap.vol_error(*ATM)[1:][moved] >= 0.9 * np.abs(off[1:][moved])).all()
    assert TrustState.GOOD not in np.array(surface_trust(snap).state)[1:][moved]


def test_a_held_surface_has_bars_of_what_has_moved_since(monkeypatch: pytest.MonkeyPatch) -> None:
    market, stream = settled()
    monkeypatch.setattr("ivhedge.surface.stream.stream.sufficient", lambda *_: False)
    stream.on_quotes(quotes(market, truth(level=1.2), ALL, T0 + 20 * SECOND, forward=FORWARD * 0.9))
    stream.on_quotes(quotes(market, truth(level=1.2), ALL, T0 + 21 * SECOND, forward=FORWARD * 0.9))
    snap = stream.snapshot(T0 + 22 * SECOND)
    assert snap.held
    assert (snap.vol_error(*ATM) > 0.05).all()
    assert set(surface_trust(snap).state) == {TrustState.BLIND}


@pytest.mark.parametrize(
    "wrong",
    [
        {"error": (0.04, 0.01)},
        {"error": (float("nan"), 0.1)},
        {"age_s": (0.0, 1.0)},
        {"quotes": (3, 8)},
        {"quotes": (3, 0)},
    ],
)
def test_trust_settings_refuse_nonsense(wrong: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrustSettings(**wrong)
