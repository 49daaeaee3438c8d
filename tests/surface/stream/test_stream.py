"""The stream against known surfaces, its own batch problem, and bad input."""

import itertools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ArbitrageError, ConfigError, DataError
from ivhedge.surface import PackedQuotes, calibrate_essvi, essvi_total_variance
from ivhedge.surface.stream import QuoteColumns, StreamSettings, SurfaceStream
from ivhedge.surface.stream import _kernel as kernel
from ivhedge.surface.stream._projection import moved_by, project, sufficient
from ivhedge.surface.stream.snapshot import vol_gradient
from tests.surface.stream._bed import FORWARD, PER, T0, fresh, quotes, truth, universe, vols

SECOND = 1_000_000_000
ALL = np.arange(4 * PER)


def permuted(q: QuoteColumns, order: np.ndarray) -> QuoteColumns:
    return QuoteColumns(**{name: getattr(q, name)[order] for name in QuoteColumns.__slots__})


def test_finds_the_true_surface_from_a_start_ten_percent_off() -> None:
    market, stream = fresh(level=1.1)
    assert (stream.on_quotes(quotes(market, truth(), ALL, T0 + SECOND)) == 0).all()
    snap = stream.snapshot(T0 + SECOND)
    assert np.abs(vols(snap.surface) - vols(truth(ts_ns=T0 + SECOND))).max() < 3e-4
    assert snap.certificate().valid
    assert not snap.stale.any()


def gaps_to_the_batch_refit(seed: int) -> tuple[float, float]:
    """Largest vol difference to the nearest batch fit: of the joint snapshot, and of the default one."""
    rng = np.random.default_rng(seed)
    market, stream = fresh()
    items = np.concatenate([ALL, rng.integers(0, ALL.size, 1000)])
    ts = T0 + np.arange(items.size, dtype=np.int64) * 1_000_000
    error = rng.normal(0.0, 0.002, items.size)
    error[rng.random(items.size) < 0.05] += 0.1
    stream.on_quotes(quotes(market, truth(), items, ts, error=error))
    last = dict(zip(items.tolist(), error.tolist(), strict=True))
    k = np.log(market.strike / FORWARD)
    e = np.repeat(np.arange(4), PER)
    t = truth()
    vol = np.sqrt(essvi_total_variance(k, t.theta[e], t.rho[e], t.psi[e]) / t.taus[e])
    packed = PackedQuotes(
        log_moneyness=k,
        vol=vol + np.array([last[i] for i in range(ALL.size)]),
        weight=np.full(ALL.size, 200.0),
        offsets=np.arange(5) * PER,
        taus=t.taus,
    )
    # Tukey's loss has several optima, so the batch fit is taken from two starts.
    fits = [
        replace(
            t,
            **dict(zip(("theta", "rho", "psi"), calibrate_essvi(packed, start=start).params.T, strict=True)),
        )
        for start in (None, np.column_stack((t.theta, t.rho, t.psi)))
    ]
    joint, default = (stream.snapshot(int(ts[-1]), joint=j).surface for j in (True, False))
    return tuple(min(np.abs(vols(s) - vols(batch)).max() for batch in fits) for s in (joint, default))


def test_near_the_batch_refit_after_a_thousand_noisy_updates() -> None:
    joint, default = np.array([gaps_to_the_batch_refit(seed) for seed in range(20)]).T
    # Of 4,000 seeds 3 end more than 5 bp off, in another optimum of Tukey's loss (by default 10).
    assert np.median(joint) < 1e-5
    assert np.quantile(joint, 0.9) < 1e-4
    assert joint.max() < 5e-4
    # Clipping at the calendar is not the joint optimum.
    assert np.median(default) < 5e-5
    assert np.quantile(default, 0.9) < 2e-4
    assert default.max() < 5e-4


def test_duplicates_and_unchanged_quotes_add_nothing() -> None:
    market, stream = fresh()
    q = quotes(market, truth(), ALL, T0, error=0.002)
    stream.on_quotes(q)
    before = stream.snapshot(T0)
    for _ in range(5):
        assert (stream.on_quotes(q) == kernel.DUPLICATE).all()
    after = stream.snapshot(T0)
    np.testing.assert_allclose(after.covariance, before.covariance, rtol=1e-6)
    np.testing.assert_allclose(vols(after.surface), vols(before.surface), atol=1e-9)
    later = replace(q, ts_event=q.ts_event + SECOND, ts_recv=q.ts_recv + SECOND)
    assert (stream.on_quotes(later) == kernel.UNCHANGED).all()
    last = stream.snapshot(T0 + SECOND)
    np.testing.assert_allclose(last.covariance, before.covariance, rtol=1e-3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_within_one_time_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market, one = fresh()
    other = SurfaceStream(market, start=truth())
    q = quotes(market, truth(), np.concatenate([ALL, ALL]), T0, error=rng.normal(0.0, 0.002, 2 * ALL.size))
    one.on_quotes(q)
    other.on_quotes(permuted(q, rng.permutation(len(q))))
    np.testing.assert_allclose(vols(one.snapshot(T0).surface), vols(other.snapshot(T0).surface), atol=2e-5)


def test_bad_input_is_counted_and_leaves_no_trace() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0 + 10 * SECOND))
    slots, slices = stream._state.slots.copy(), stream._state.slices.copy()
    good = quotes(market, truth(1.5), np.array([30]), T0 + 10 * SECOND)
    bad = {
        "unknown_venue": replace(good, venue=np.array([7])),
        "unknown_instrument": replace(good, instrument=np.array([-1])),
        "not_finite": replace(good, bid=np.array([np.nan])),
        "crossed": replace(good, bid=good.ask, ask=good.bid),
        "out_of_order": replace(good, ts_event=good.ts_event - SECOND),
        "future": replace(good, ts_event=good.ts_event + 5 * SECOND),
        "late": replace(good, ts_recv=good.ts_recv + 5 * SECOND),
        "expired": replace(good, ts_event=good.ts_event + 10**17, ts_recv=good.ts_recv + 10**17),
        "bad_forward": replace(good, ts_recv=good.ts_recv + 1, forward=np.array([9e9])),
    }
    for reason, quote in bad.items():
        assert stream.on_quotes(quote)[0] == kernel.__dict__[reason.upper()], reason
    np.testing.assert_array_equal(stream._state.slots, slots)
    np.testing.assert_array_equal(stream._state.slices, slices)
    health = stream.health()
    assert health["(unknown)"] == {"unknown_venue": 1}
    assert all(health["a"][reason] == 1 for reason in bad if reason != "unknown_venue")
    nan_forward = replace(good, forward=np.array([np.nan]))
    assert stream.on_quotes(nan_forward)[0] == kernel.BAD_FORWARD


@pytest.mark.parametrize("reason", ["one_sided", "no_vol", "in_the_money"])
def test_quotes_without_a_vol_take_the_earlier_one_out(reason: str) -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    q = quotes(market, truth(), np.array([30]), T0 + SECOND)
    if reason == "one_sided":
        q = replace(q, bid=np.zeros(1))
    elif reason == "no_vol":
        q = replace(q, ask=np.array([50.0]))
    else:
        q = replace(q, forward=np.array([FORWARD * 0.8 if market.is_call[30] == 0 else FORWARD * 1.2]))
    assert stream.on_quotes(q)[0] == kernel.__dict__[reason.upper()]
    assert stream.snapshot(T0 + SECOND).quotes.tolist() == [PER, PER - 1, PER, PER]


def test_spot_jump_widens_error_bars_and_stays_certified() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    calm = stream.snapshot(T0)
    # One quote an expiry after a jump of 5 %; all others are from before it.
    after = quotes(market, truth(), np.arange(4) * PER + 2, T0 + SECOND, forward=FORWARD * 0.95)
    assert (stream.on_quotes(after) == 0).all()
    jumped = stream.snapshot(T0 + SECOND)
    assert jumped.certificate().valid
    at = np.zeros(4), np.arange(4)
    assert (jumped.vol_error(*at) > 2.0 * calm.vol_error(*at)).all()
    np.testing.assert_allclose(jumped.surface.forwards, FORWARD * 0.95)
    assert np.abs(vols(jumped.surface) - vols(calm.surface)).max() < 2e-3
    k = np.log(market.strike / (FORWARD * 0.95))
    still = ALL[(k >= 0.0) == (market.is_call == 1)]
    stream.on_quotes(quotes(market, truth(), still, T0 + 2 * SECOND, forward=FORWARD * 0.95))
    back = stream.snapshot(T0 + 2 * SECOND)
    assert (back.vol_error(*at) < jumped.vol_error(*at)).all()


def test_silence_widens_error_bars_and_marks_stale() -> None:
    market, stream = fresh()
    stream.on_quotes(quotes(market, truth(), ALL, T0))
    at = np.zeros(4), np.arange(4)
    errors = [stream.snapshot(T0 + s * SECOND).vol_error(*at) for s in (0, 60, 1800, 7200)]
    assert all((b > a).all() for a, b in itertools.pairwise(errors))
    assert stream.snapshot(T0 + 7200 * SECOND).stale.all()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_publication_is_certified_under_adversarial_quotes(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    spread = data.draw(st.sampled_from([0.0, 0.05, 0.5]))
    tilt = data.draw(st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4))
    jump = data.draw(st.floats(0.8, 1.25))
    market, stream = fresh()
    for turn in range(3):
        items = rng.integers(0, ALL.size, 120)
        error = rng.normal(0.0, spread, items.size) + np.array(tilt)[items // PER]
        q = quotes(market, truth(), items, T0 + turn * SECOND, error=error, forward=FORWARD * jump)
        stream.on_quotes(q)
        snap = stream.snapshot(T0 + turn * SECOND)
        assert not snap.held
        assert snap.certificate().valid
        assert np.isfinite(snap.vol_error(np.zeros(4), np.arange(4))).all()
    assert stream.refused == 0


@settings(max_examples=100, deadline=None)
@given(
    raw=st.lists(
        st.tuples(st.floats(1e-4, 9.0), st.floats(-0.99, 0.99), st.floats(1e-4, 50.0)), min_size=1, max_size=8
    )
)
def test_projection_always_fulfils_the_conditions(raw: list[tuple[float, float, float]]) -> None:
    slices = np.zeros((len(raw), kernel.S_COLUMNS))
    slices[:, :3] = raw
    taus = np.cumsum(np.full(len(raw), 0.05))
    out = np.empty((len(raw), 3))
    project(slices, taus, out)
    assert sufficient(out, 0, len(raw) - 1)


def test_projection_leaves_slices_without_arbitrage_alone() -> None:
    t = truth()
    slices = np.zeros((4, kernel.S_COLUMNS))
    slices[:, 0], slices[:, 1], slices[:, 2] = t.theta / t.taus, t.rho, t.psi / t.taus
    out = np.empty((4, 3))
    project(slices, t.taus, out)
    np.testing.assert_allclose(out, np.column_stack((t.theta, t.rho, t.psi)), rtol=1e-12)


def test_sufficient_refuses_each_kind_of_arbitrage() -> None:
    good = np.column_stack((truth().theta, truth().rho, truth().psi))
    assert sufficient(good, 0, 3)
    for row, column, value in ((1, 0, 1e-6), (2, 2, 1e-3), (0, 2, 3.9), (3, 1, 1.0), (1, 2, np.nan)):
        broken = good.copy()
        broken[row, column] = value
        assert not sufficient(broken, 0, 3)


def test_moved_by_is_its_twin() -> None:
    rng, t = np.random.default_rng(3), truth()
    slices = np.zeros((4, kernel.S_COLUMNS))
    slices[:, 0], slices[:, 1], slices[:, 2] = t.theta / t.taus, t.rho, t.psi / t.taus
    params = np.column_stack((t.theta, t.rho, t.psi)) * rng.uniform(0.8, 1.2, (4, 3))
    k = np.linspace(-1.5, 1.5, 7)[:, None] * np.sqrt(t.theta)
    own = np.sqrt(essvi_total_variance(k, t.theta, t.rho, t.psi) / t.taus)
    moved = np.sqrt(essvi_total_variance(k, *params.T) / t.taus)
    np.testing.assert_allclose(moved_by(slices, t.taus, params), np.abs(own - moved).max(axis=0), rtol=1e-9)


def test_kernel_gradient_is_its_twin() -> None:
    rng = np.random.default_rng(1)
    for k, a, rho, b in rng.uniform([-1, 0.1, -0.9, 0.1], [1, 1, 0.9, 3], (50, 4)):
        twin = vol_gradient(np.array(k), np.array(a), np.array(rho), np.array(b))
        np.testing.assert_allclose(kernel._model(k, a, rho, b)[1:], twin, rtol=1e-12)
        vol = kernel._model(k, a, rho, b)[0]
        assert vol**2 == pytest.approx(float(essvi_total_variance(k, a, rho, b)))


def test_refuses_wrong_set_ups() -> None:
    market = universe()
    with pytest.raises(ConfigError, match="venues"):
        replace(market, venues=("a", "a"))
    with pytest.raises(ConfigError, match="expiries"):
        SurfaceStream(replace(market, expiry_ns=market.expiry_ns + 1), start=truth())
    with pytest.raises(ArbitrageError):
        SurfaceStream(market, start=replace(truth(), theta=truth().theta[::-1]))
    with pytest.raises(ConfigError, match="tukey"):
        StreamSettings(tukey=0.0)
    _, stream = fresh()
    with pytest.raises(DataError, match="time"):
        stream.snapshot(T0 - 1)
    with pytest.raises(DataError, match="shape"):
        replace(quotes(market, truth(), ALL, T0), bid=np.zeros(3))


def test_one_by_one_is_the_same_as_in_columns() -> None:
    market, columns = fresh()
    single = SurfaceStream(market, start=truth())
    q = quotes(market, truth(), ALL, T0, error=np.random.default_rng(3).normal(0.0, 0.003, ALL.size))
    columns.on_quotes(q)
    for i in range(len(q)):
        row = {name: getattr(q, name)[i].item() for name in QuoteColumns.__slots__}
        assert single.on_quote(**row) == "accepted"
    np.testing.assert_array_equal(single._state.slots, columns._state.slots)
    np.testing.assert_array_equal(single._state.slices, columns._state.slices)


def test_settled_slice_is_a_stationary_point_of_tukeys_loss() -> None:
    market, stream = fresh()
    rng = np.random.default_rng(4)
    error = rng.normal(0.0, 0.003, ALL.size)
    error[::9] += 0.08
    stream.on_quotes(quotes(market, truth(), ALL, T0, error=error))
    stream.snapshot(T0)
    for e in range(4):
        s, slots = stream._state.slices[e], stream._state.slots[e * PER : (e + 1) * PER]
        a, rho, b = s[:3]
        k, sd = slots[:, kernel.K], np.sqrt(slots[:, kernel.NOISE])
        x = (slots[:, kernel.VOL] - np.sqrt(essvi_total_variance(k, a, rho, b))) / sd
        inside = np.clip(1.0 - (x / (4.685 * s[kernel.SCALE])) ** 2, 0.0, None) ** 2
        h = vol_gradient(k, a, rho, b) / sd[:, None]
        information = (inside[:, None] * h).T @ h
        step = np.linalg.solve(information, (inside * x) @ h)
        assert np.abs(step / np.array([a, 1.0, b])).max() < 1e-3
        assert np.abs((inside * x) @ h).max() < np.abs(x[:, None] * h).sum() * 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        {"instrument": 1.9}, {"instrument": float("nan")}, {"instrument": None}, {"venue": -0.5},
        {"ts_event": str(T0)}, {"ts_recv": float(T0)}, {"ts_event": 2**64}, {"bid": None}, {"ask": "dear"},
        {"forward": None}, {"bid_size": "much"},
    ],
)  # fmt: skip
def test_one_quote_of_a_wrong_type_is_refused_by_name(wrong: dict[str, object]) -> None:
    market, stream = fresh()
    q = quotes(market, truth(), np.array([1]), T0)
    row: dict[str, Any] = {f.name: getattr(q, f.name)[0] for f in fields(q)}
    with pytest.raises(DataError, match="expected integers for ids and times"):
        stream.on_quote(**{**row, **wrong})
    assert stream.health() == {"a": {}, "(unknown)": {}}
    assert stream.on_quote(**row) == "accepted"


def test_columns_may_be_empty_and_must_be_numbers() -> None:
    market, stream = fresh()
    empty = QuoteColumns(**{f.name: [] for f in fields(QuoteColumns)})  # type: ignore[arg-type]
    assert stream.on_quotes(empty).size == 0
    q = quotes(market, truth(), np.array([1, 2]), T0)
    with pytest.raises(DataError, match="bid"):
        replace(q, bid=np.array(["low", "high"]))
    with pytest.raises(DataError, match="venue"):
        replace(q, venue=np.array([0.0, 1.0]))
