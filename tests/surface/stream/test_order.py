"""The surface hangs on the quotes in use, not on the way to them; time and clocks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import DataError
from ivhedge.pricing import implied_vol
from ivhedge.surface import essvi_total_variance
from ivhedge.surface.stream import (
    REASONS,
    QuoteColumns,
    SurfaceStream,
    TrustState,
    surface_trust,
)
from ivhedge.surface.stream import _kernel as kernel
from ivhedge.surface.stream._projection import project, sufficient
from tests.surface.stream._bed import DAY, FORWARD, PER, T0, fresh, quotes, truth, universe, vols

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
ALL = np.arange(4 * PER)
SAME = 1e-5
"""0.1 bp of vol."""


def join(*parts: QuoteColumns) -> QuoteColumns:
    names = QuoteColumns.__slots__
    return QuoteColumns(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def rows(q: QuoteColumns, order: np.ndarray) -> QuoteColumns:
    return QuoteColumns(**{name: getattr(q, name)[order] for name in QuoteColumns.__slots__})


def last_of_each(q: QuoteColumns) -> np.ndarray:
    key = q.venue * 1000 + q.instrument
    order = np.lexsort((q.ts_event, key))
    return order[np.append(key[order][1:] != key[order][:-1], True)]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    level=st.sampled_from([0.7, 1.0, 1.4]),
    half=st.sampled_from([0.0005, 0.005]),
    shuffle=st.booleans(),
)
def test_any_way_to_the_same_quotes_is_the_cold_fit(
    seed: int, level: float, half: float, shuffle: bool
) -> None:
    rng = np.random.default_rng(seed)
    market = universe(("a", "b"))
    n = 600
    items, venue = rng.integers(0, ALL.size, n), rng.integers(0, 2, n)
    noise = rng.normal(0.0, 0.003, n + ALL.size) + (rng.random(n + ALL.size) < 0.08) * 0.1
    past = quotes(market, truth(level), items, T0 + np.arange(n) * 1_000_000, half=half, error=noise[:n])
    now = quotes(market, truth(), ALL, T0 + SECOND + ALL * 1_000_000, half=half, error=noise[n:])
    tape = join(replace(past, venue=venue), now)
    # Receipt within the lag allowed, so that no order makes a quote late.
    tape = replace(tape, ts_recv=np.full(len(tape), T0 + 2 * SECOND))
    order = rng.permutation(len(tape)) if shuffle else np.arange(len(tape))
    streamed, cold = (SurfaceStream(market, start=truth()) for _ in range(2))
    for block in np.array_split(order, 5):
        streamed.on_quotes(rows(tape, block))
    assert (cold.on_quotes(rows(tape, last_of_each(tape))) == kernel.ACCEPTED).all()
    for joint in (False, True):
        one, two = (s.snapshot(T0 + 2 * SECOND, joint=joint) for s in (streamed, cold))
        np.testing.assert_allclose(vols(one.surface), vols(two.surface), atol=SAME)
        np.testing.assert_allclose(one.drift, two.drift, rtol=1e-4)
        np.testing.assert_array_equal(one.quotes, two.quotes)
        np.testing.assert_array_equal(one.surface.forwards, two.surface.forwards)


def test_publishing_in_between_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    market, often = fresh()
    once = SurfaceStream(market, start=truth())
    for turn in range(6):
        ts = T0 + turn * SECOND
        q = quotes(market, truth(1.0 + 0.03 * turn), ALL, ts, error=rng.normal(0.0, 0.004, ALL.size))
        often.on_quotes(q)
        often.snapshot(ts, joint=turn % 2 == 0)
        once.on_quotes(q)
    one, two = (s.snapshot(T0 + 6 * SECOND).surface for s in (often, once))
    np.testing.assert_allclose(vols(one), vols(two), atol=SAME)


def test_an_unchanged_price_at_less_time_is_a_higher_vol() -> None:
    market, stream = fresh()
    first = quotes(market, truth(), ALL[:PER], T0)
    wait = 12 * 3600 * SECOND
    later = replace(first, ts_event=first.ts_event + wait, ts_recv=first.ts_recv + wait)
    assert (stream.on_quotes(first) == kernel.ACCEPTED).all()
    assert (stream.on_quotes(later) == kernel.UNCHANGED).all()
    slots = stream._state.slots[:PER]
    tau = (market.expiry_ns[:PER] - T0 - wait) / (365.0 * DAY)
    mid = [
        implied_vol(side * FORWARD, FORWARD, market.strike[:PER], tau, market.is_call[:PER] == 1)
        for side in (first.bid, first.ask)
    ]
    np.testing.assert_allclose(slots[:, kernel.VOL], 0.5 * (mid[0] + mid[1]), atol=1e-9)


def test_a_gap_of_the_forward_opens_with_a_second_quote() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    far = 1.5 * FORWARD
    calls = ALL[market.strike > far]
    after = quotes(market, truth(), calls, T0 + SECOND, forward=far)
    outcome = stream.on_quotes(after)
    assert outcome[0] == kernel.BAD_FORWARD
    assert (outcome[1:] == kernel.ACCEPTED).all()
    snap = stream.snapshot(T0 + SECOND)
    assert snap.surface.forwards[-1] == pytest.approx(far)
    assert snap.certificate().valid


@pytest.mark.parametrize("factor", [1e-5, 0.7, 0.98, 1.015, 1.28, 30.0])
@pytest.mark.parametrize("hours", [0, 2])
def test_one_bad_forward_moves_nothing_and_shuts_nothing(factor: float, hours: int) -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    at = T0 + SECOND + hours * 60 * MINUTE
    wrong = quotes(market, truth(), np.array([2]), at, forward=FORWARD * factor)
    stream.on_quotes(replace(wrong, bid=np.zeros(1)))
    np.testing.assert_allclose(stream.snapshot(at).surface.forwards, FORWARD)
    # The same word again is no second one.
    stream.on_quotes(replace(wrong, bid=np.zeros(1), ts_event=wrong.ts_event + 1, ts_recv=wrong.ts_recv + 1))
    np.testing.assert_allclose(stream.snapshot(at).surface.forwards, FORWARD)
    honest = quotes(market, truth(), ALL, at + SECOND, forward=FORWARD * 0.999)
    assert (stream.on_quotes(honest) != kernel.BAD_FORWARD).all()
    np.testing.assert_allclose(stream.snapshot(at + SECOND).surface.forwards, FORWARD * 0.999)


def test_bad_forwards_of_all_expiries_at_once_are_outvoted_by_two_quotes() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    one_each = np.arange(4) * PER
    stream.on_quotes(quotes(market, truth(), one_each, T0 + SECOND, forward=FORWARD * 1.28))
    outcome = stream.on_quotes(quotes(market, truth(), ALL, T0 + 2 * SECOND, forward=FORWARD))
    assert (outcome == kernel.BAD_FORWARD).sum() <= 1
    np.testing.assert_allclose(stream.snapshot(T0 + 2 * SECOND).surface.forwards, FORWARD)


def test_a_silent_slice_follows_the_spot_and_says_how_little_it_knows() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    calm = stream.snapshot(T0)
    others = np.arange(3 * PER)
    for second, fall in ((5, 0.95), (10, 0.9), (15, 0.85)):
        stream.on_quotes(quotes(market, truth(), others, T0 + second * SECOND, forward=FORWARD * fall))
        snap = stream.snapshot(T0 + second * SECOND)
        np.testing.assert_allclose(snap.surface.forwards, FORWARD * fall)
    error = snap.vol_error(np.zeros(4), np.arange(4))
    assert error[3] == pytest.approx(0.5 * -np.log(0.85), rel=0.1)
    assert (error[1:3] < 0.01).all()
    assert surface_trust(snap).state[3] is TrustState.BLIND
    assert surface_trust(calm).state[3] is TrustState.GOOD
    # Its own quotes, and the distance of its forward to the others', are believed again at once.
    stream.on_quotes(quotes(market, truth(), ALL, T0 + 16 * SECOND, forward=FORWARD * 0.852))
    np.testing.assert_allclose(stream.snapshot(T0 + 16 * SECOND).surface.forwards, FORWARD * 0.852)


def test_quotes_without_a_vol_still_bring_the_forward() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    moved = quotes(market, truth(), np.array([2, 3]), T0 + SECOND, forward=FORWARD * 1.02)
    assert (stream.on_quotes(replace(moved, bid=np.zeros(2))) == kernel.ONE_SIDED).all()
    assert stream.snapshot(T0 + SECOND).surface.forwards[0] == pytest.approx(FORWARD * 1.02)


def test_publishes_although_a_venues_clock_leads() -> None:
    market, stream = fresh()
    lead = quotes(market, truth(), ALL, T0 + 4 * SECOND // 10)
    stream.on_quotes(replace(lead, ts_recv=np.full(ALL.size, T0)))
    for joint in (False, True):
        assert stream.snapshot(T0, joint=joint).certificate().valid
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0 + 2 * SECOND))
    with pytest.raises(DataError, match="time"):
        stream.snapshot(T0 + SECOND)


def test_each_quote_of_a_mixed_batch_has_its_own_status() -> None:
    market, stream = fresh()
    good = quotes(market, truth(), ALL[:8], T0 + SECOND)
    bid, ts = good.bid.copy(), good.ts_event.copy()
    bid[1], bid[2] = np.nan, good.ask[2] * 2.0
    ts[3] -= 5 * SECOND
    instrument = good.instrument.copy()
    instrument[4], instrument[6] = 10_000, instrument[5]
    mixed = replace(good, bid=bid, ts_event=ts, instrument=instrument)
    mixed = replace(mixed, **{n: np.where(ALL[:8] == 6, getattr(mixed, n)[5], getattr(mixed, n)) for n in
                              ("bid", "ask")})  # fmt: skip
    expected = ["accepted", "not_finite", "crossed", "late", "unknown_instrument", "accepted", "duplicate",
                "accepted"]  # fmt: skip
    assert [REASONS[i] for i in stream.on_quotes(mixed)] == expected
    assert stream.snapshot(T0 + SECOND).quotes[0] == 3


def _sufficient(p: np.ndarray) -> bool:
    """Twin of `sufficient` on whole columns."""
    theta, rho, psi = p.T
    wing = psi * (1.0 + np.abs(rho))
    butterfly = (theta > 0) & (psi > 0) & (np.abs(rho) < 1) & (wing < 4) & (psi * wing <= 4 * theta)
    sides = np.stack((psi * (1 + rho), psi * (1 - rho)))
    rising = (sides[:, 1:] >= sides[:, :-1] * (1 - 1e-12)).all() and (np.diff(theta) >= 0).all()
    slower = psi[1:] * theta[:-1] <= psi[:-1] * theta[1:] * (1 + 1e-12)
    return bool(butterfly.all() and rising and slower.all())


def test_sufficient_is_its_twin() -> None:
    rng = np.random.default_rng(8)
    base = np.column_stack((truth().theta, truth().rho, truth().psi))
    found = []
    for _ in range(400):
        p = base * rng.lognormal(0.0, rng.choice([0.01, 0.3]), base.shape)
        assert sufficient(p, 0, 3) == _sufficient(p)
        found.append(sufficient(p, 0, 3))
    assert 20 < sum(found) < 380


def _reweighted(
    k: np.ndarray, vol: np.ndarray, sd: np.ndarray, p: np.ndarray, whole: float | None
) -> np.ndarray:
    """Twin of the settling of a slice by least squares on arrays, with numerical derivatives.

    By Huber's loss without a scale of all errors, otherwise by Tukey's.
    """

    def model(p: np.ndarray) -> np.ndarray:
        return np.sqrt(essvi_total_variance(k, p[0], p[1], p[2]))

    for _ in range(150):
        x = (vol - model(p)) / sd
        own = 1.4826 * np.median(np.abs(x))
        if whole is None:
            weight = np.minimum(1.0, 1.345 * max(own, 0.3) / np.maximum(np.abs(x), 1e-12))
        else:
            weight = np.clip(1.0 - (x / (4.685 * np.clip(own, whole, 3.0 * whole))) ** 2, 0.0, None) ** 2
        h = np.column_stack([(model(p + d) - model(p - d)) / 2e-6 for d in np.eye(3) * 1e-6]) / sd[:, None]
        held = np.diag([4.0 / p[0] ** 2, 4.0, 1.0 / p[2] ** 2])
        p = p + np.linalg.solve((h.T * weight) @ h + held, (h.T * weight) @ x)
    return p


@pytest.mark.parametrize("seed", range(6))
def test_settled_slices_are_those_of_the_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market, stream = fresh(level=1.1)
    # One slice is twice as noisy as the others, one a third: the scale of all bounds each one's own.
    spread = np.array([0.003, 0.006, 0.001, 0.003])[ALL // PER]
    error = rng.normal(0.0, spread) + (rng.random(ALL.size) < 0.08) * 0.1
    stream.on_quotes(quotes(market, truth(), ALL, T0, error=error))
    stream.snapshot(T0)
    columns = [kernel.K, kernel.VOL, kernel.NOISE]
    blocks = [stream._state.slots[e * PER : (e + 1) * PER, columns].T for e in range(4)]
    blocks = [(k, vol, np.sqrt(noise)) for k, vol, noise in blocks]
    first = [_reweighted(*block, np.array([0.4, 0.0, 1.5]), None) for block in blocks]
    sizes = [
        np.abs(vol - np.sqrt(essvi_total_variance(k, *p))) / sd
        for (k, vol, sd), p in zip(blocks, first, strict=True)
    ]
    slices = stream._state.slices
    whole = float(slices[0, kernel.WHOLE])
    # The twin knows no butterfly bound, which the nearest slice may touch.
    assert whole == pytest.approx(1.4826 * float(np.median(np.concatenate(sizes))), rel=3e-2)
    assert slices[2, kernel.SCALE] == whole < slices[1, kernel.SCALE]
    for e in range(1, 4):
        twin = _reweighted(*blocks[e], first[e], whole)
        k = blocks[e][0]
        both = [np.sqrt(essvi_total_variance(k, *p)) for p in (slices[e, :3], twin)]
        np.testing.assert_allclose(both[0], both[1], atol=2e-5)


def test_projection_moves_a_calendar_breach_only_as_far_as_needed() -> None:
    t = truth()
    slices = np.zeros((4, kernel.S_COLUMNS))
    slices[:, 0], slices[:, 1], slices[:, 2] = t.theta / t.taus, t.rho, t.psi / t.taus
    slices[2, 0] = 0.9 * t.theta[1] / t.taus[2]
    out = np.empty((4, 3))
    project(slices, t.taus, out)
    np.testing.assert_allclose(out[:2], np.column_stack((t.theta, t.rho, t.psi))[:2], rtol=1e-12)
    ratio = max((1 + t.rho[1]) / (1 + t.rho[2]), (1 - t.rho[1]) / (1 - t.rho[2]))
    assert out[2, 0] == pytest.approx(t.theta[1] * ratio, rel=1e-6)
    assert sufficient(out, 0, 3)
