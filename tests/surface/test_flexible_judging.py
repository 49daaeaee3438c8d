"""Compiled judging of quotes against the same written out in numpy, and what it has to do with bad quotes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.surface.flexible import FlexibleQuotes
from ivhedge.surface.flexible.judge import judged

NEIGHBOURS = 11


def residuals(quotes: FlexibleQuotes, rows: slice, vol: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of quotes from vols, and their half-spreads; a bound is measured from its edge."""
    bid, ask, mid = quotes.bid_vol[rows], quotes.ask_vol[rows], quotes.mid_vol[rows]
    outside = np.fmax(bid - vol, 0.0)
    outside = np.where(vol > ask, ask - vol, outside)
    bound = np.isnan(mid)
    return np.where(bound, outside, mid - vol), np.where(bound, 0.0, np.maximum(0.5 * (ask - bid), 1e-4))


def moved(quotes: FlexibleQuotes, rows: slice, vol: np.ndarray) -> np.ndarray:
    """Reference moved to where most neighbouring mids lie: repeated medians, window by window."""
    k, mid = quotes.log_moneyness[rows], quotes.mid_vol[rows]
    pulled = np.flatnonzero(np.isfinite(mid))
    window = min(NEIGHBOURS, pulled.size)
    if window < 5:
        return vol
    x, y = k[pulled], (mid - vol)[pulled]
    near = np.searchsorted(0.5 * (x[:-window] + x[window:]), k)[:, None] + np.arange(window)[None, :]
    dx, dy = x[near] - k[:, None], y[near]
    run = dx[:, None, :] - dx[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.where(np.abs(run) > 1e-12, (dy[:, None, :] - dy[:, :, None]) / run, np.nan)
    other = ~np.eye(window, dtype=np.bool_)
    slopes = slopes[:, other].reshape(k.size, window, window - 1)
    slope = np.median(np.median(np.nan_to_num(slopes, nan=0.0), axis=2), axis=1)
    at = np.clip(k, x[0], x[-1]) - k
    return np.maximum(vol + np.median(dy - slope[:, None] * (dx - at[:, None]), axis=1), 0.01)


def expected(quotes: FlexibleQuotes, vol: np.ndarray, *, local: bool) -> tuple[np.ndarray, ...]:
    """Trust, which are believed, and noise."""
    trust, used, noise = np.ones(vol.size), np.ones(vol.size, dtype=np.bool_), np.ones(quotes.taus.size)
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        reference = moved(quotes, rows, vol[rows]) if local else vol[rows]
        distance, half = residuals(quotes, rows, reference)
        away, valued = np.abs(distance), half > 0.0
        typical = float(np.median(away[valued])) if valued.any() else 0.0
        scale = max(1.4826 * typical, 0.003)
        used[rows] = away <= half + np.maximum(4.0 * scale, 0.04 * reference)
        trust[rows] = np.where(used[rows], 1.0 / (1.0 + (away / (half + scale)) ** 2) ** 2, 0.0)
        pulled = used[rows] & np.isfinite(quotes.mid_vol[rows])
        u = distance[pulled] / half[pulled]
        noise[e] = 0.35
        if u.size >= 8:
            third = np.median(np.abs(np.diff(u, 3)))
            noise[e] = np.clip(1.4826 * third / np.sqrt(20.0), 0.02, 0.35)
    return trust, used, noise


def some_quotes(rng: np.random.Generator, counts: list[int]) -> tuple[FlexibleQuotes, np.ndarray]:
    """Quotes of all kinds around a parabola, and the parabola."""
    k = np.concatenate([np.sort(rng.normal(0.0, 0.2, n)) for n in counts])
    vol = 0.5 + 0.3 * k * k
    half = rng.uniform(0.001, 0.02, k.size)
    mid = vol + half * rng.normal(0.0, 0.5, k.size)
    mid = np.where(rng.random(k.size) < 0.2, mid + rng.uniform(-0.3, 0.5, k.size), mid)
    mid = np.maximum(mid, 0.1)
    bid, ask, kind = mid - half, mid + half, rng.random(k.size)
    quotes = FlexibleQuotes(
        log_moneyness=k,
        bid_vol=np.where(kind < 0.1, np.nan, bid),
        ask_vol=np.where(kind > 0.9, np.nan, ask),
        mid_vol=np.where((kind < 0.15) | (kind > 0.9), np.nan, mid),
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        expiries=np.arange(1, len(counts) + 1),
        taus=np.linspace(0.1, 1.0, len(counts)),
    )
    return quotes, vol


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), counts=st.lists(st.integers(0, 40), min_size=1, max_size=4))
@pytest.mark.parametrize("local", [True, False])
def test_judged_as_written_out(seed: int, counts: list[int], local: bool) -> None:
    quotes, vol = some_quotes(np.random.default_rng(seed), counts)
    for got, want in zip(judged(quotes, vol, local=local), expected(quotes, vol, local=local), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_strikes_quoted_twice_have_no_slope_between_them() -> None:
    quotes, vol = some_quotes(np.random.default_rng(1), [30])
    quotes = replace(quotes, log_moneyness=np.repeat(quotes.log_moneyness[::2], 2))
    for got, want in zip(judged(quotes, vol, local=True), expected(quotes, vol, local=True), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_a_lone_bad_quote_is_not_believed_and_a_shared_feature_is() -> None:
    k = np.linspace(-0.3, 0.3, 31)
    vol = np.full(31, 0.5)
    bump = 0.1 * np.exp(-((k / 0.15) ** 2))
    bump[3] += 0.1
    quotes = FlexibleQuotes(
        log_moneyness=k,
        bid_vol=vol + bump - 0.002,
        ask_vol=vol + bump + 0.002,
        mid_vol=vol + bump,
        offsets=np.array([0, 31]),
        expiries=np.array([1]),
        taus=np.array([0.1]),
    )
    _, used, noise = judged(quotes, vol, local=True)
    assert np.flatnonzero(~used).tolist() == [3]
    assert 0.02 <= noise[0] <= 0.35
