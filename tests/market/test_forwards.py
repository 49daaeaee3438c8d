from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, EmptyData, UnknownInstrument
from ivhedge.market import ForwardMethod, ForwardSettings, clean_chain, estimate_forwards
from ivhedge.market.parity import parity_forwards, weighted_median

NULL = pl.lit(None, pl.Float64)


def only(frame: pl.DataFrame) -> dict[str, object]:
    assert frame.height == 1
    return frame.row(0, named=True)


@pytest.mark.parametrize(("settlement", "venue"), [("coin", "deribit"), ("usd", "dune")])
@settings(deadline=None)  # the first call compiles the price kernel
@given(forward=st.floats(50_000, 150_000), vol=st.floats(0.2, 1.5))
def test_parity_gives_back_the_forward(make_chain, settlement, venue, forward, vol):
    chain = make_chain(forward=forward, vol=vol, settlement=settlement, venue=venue, half_spread=0.001)
    curve = estimate_forwards(chain.with_columns(forward=NULL))
    row = only(curve.table)
    assert row["method"] == "parity"
    assert row["n_pairs"] == 7
    # Symmetric quotes: parity of the mids is exact, up to the rounding of the prices.
    assert row["forward"] == pytest.approx(forward, rel=1e-9)
    assert row["band_low"] <= forward <= row["band_high"]
    assert abs(row["forward"] - forward) < row["std_error"]


def test_parity_resists_a_bad_pair(make_chain):
    chain = make_chain(half_spread=0.002).with_columns(forward=NULL)
    broken = chain.with_columns(
        pl.when((pl.col("strike") == 90e3) & pl.col("is_call"))
        .then(pl.col(side) + 0.02)
        .otherwise(side)
        .alias(side)
        for side in ("bid", "ask")
    )
    assert estimate_forwards(broken).forward_of(curve_expiry(chain)) == pytest.approx(90_000, rel=2e-4)


def curve_expiry(chain: pl.DataFrame) -> int:
    return int(chain["expiry"].dt.epoch("ns")[0])


def test_venue_forward_wins_with_its_small_error_and_takes_the_median(make_chain):
    chain = make_chain(half_spread=0.005)
    jitter = pl.Series("forward", [90_000.0 + 5 * (i % 3) for i in range(chain.height)])
    curve = estimate_forwards(chain.with_columns(jitter))
    row = only(curve.table)
    assert row["method"] == "venue"
    assert row["forward"] == pytest.approx(90_005.0)
    parity = estimate_forwards(chain.with_columns(forward=NULL)).std_errors[0]
    # The spread of the numbers shown, and half of what the option market leaves open.
    assert row["std_error"] == pytest.approx(np.hypot(1.4826 * 5, 0.5 * parity))


def test_venue_forward_in_a_wide_market_is_trusted_less(make_chain):
    errors = [
        only(estimate_forwards(make_chain(half_spread=width)).table)["std_error"] for width in (0.002, 0.02)
    ]
    assert errors[1] > 5 * errors[0]


def test_venue_forward_outside_the_executable_band_is_not_believed(make_chain):
    chain = make_chain(half_spread=0.002).with_columns(forward=pl.lit(93_000.0))
    row = only(estimate_forwards(chain).table)
    assert row["method"] == "parity"
    assert row["forward"] == pytest.approx(90_000, rel=2e-4)


@pytest.mark.parametrize("shift", [-0.0025, 0.0025])
def test_one_stale_pair_does_not_discard_a_good_forward(make_chain, shift):
    # The pair's band overlaps those of the others, but not where the forward is.
    pair = pl.col("strike") == 90e3
    move = pl.when(pl.col("is_call")).then(shift / 2).otherwise(-shift / 2)
    stale = make_chain(half_spread=0.01).with_columns(
        pl.when(pair).then(pl.col(side) + move).otherwise(side).alias(side) for side in ("bid", "ask")
    )
    (alone,) = parity_forwards(stale.filter(pair)).values()
    assert not alone.band_low <= 90_000 <= alone.band_high
    row = only(estimate_forwards(stale).table)
    assert (row["method"], row["forward"]) == ("venue", 90_000.0)
    assert row["band_low"] < 90_000 < row["band_high"]


def test_two_sided_future_of_the_same_moment_wins(make_chain, make_future):
    # A venue forward that scatters by 10 USD has the larger error bar.
    scatter = pl.Series("forward", [90_000.0 + 10 * (i % 2) for i in range(14)])
    chain = make_chain().with_columns(scatter)
    future = make_future(bid=90_001.0, ask=90_003.0)
    row = only(estimate_forwards(chain, future).table)
    assert (row["method"], row["forward"]) == ("future", 90_002.0)


def test_future_known_by_an_old_mark_only_does_not(make_chain, make_future):
    ts = make_chain()["ts"][0]
    future = make_future(mark=90_010.0, ts_event=ts - timedelta(seconds=30))
    row = only(estimate_forwards(make_chain(), future).table)
    assert row["method"] == "venue"
    alone = only(
        estimate_forwards(
            make_chain(), future, settings=ForwardSettings(methods=(ForwardMethod.FUTURE,))
        ).table
    )
    drift = 0.5 * 90_010 * np.sqrt(30 / (365 * 86_400))
    assert alone["std_error"] == pytest.approx(np.hypot(drift, 45.005), rel=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bid": 90_010.0, "ask": 90_000.0},
        {"mark": float("nan")},
        {"mark": -1.0},
        {"underlying": "ETH", "mark": 90_000.0},
        {"kind": "perpetual", "expiry": None, "mark": 90_000.0},
    ],
)
def test_unusable_futures_are_passed_over(make_chain, make_future, wrong):
    only_futures = ForwardSettings(methods=(ForwardMethod.FUTURE,))
    with pytest.raises(EmptyData, match="forward column, a future or a two-sided"):
        estimate_forwards(make_chain(), make_future(**wrong), settings=only_futures)


def test_venues_are_pooled_by_inverse_variance(make_chain):
    near = make_chain(half_spread=0.0001)
    far = make_chain(venue="aurora", half_spread=0.0005).with_columns(
        pl.Series("forward", [90_030.0 + 10 * (i % 3) for i in range(14)])
    )
    trusting = ForwardSettings(methods=(ForwardMethod.VENUE,), band_slack_bp=50.0)
    curve = estimate_forwards(pl.concat([near, far]), settings=trusting)
    assert curve.table.height == 2
    pooled = curve.forward_of(curve_expiry(near))
    assert 90_000 < pooled < 90_010
    # They disagree by far more than their own error bars: the pooled one says so.
    assert curve.std_errors[0] > 2 * curve.table["std_error"].min()


def test_one_wrong_venue_of_three_is_not_pooled(make_chain):
    chains = [make_chain(venue=v) for v in ("deribit", "aurora")]
    wrong = make_chain(venue="borealis", forward=95_000.0)
    curve = estimate_forwards(pl.concat([*chains, wrong]))
    assert curve.forward_of(curve_expiry(wrong)) == pytest.approx(90_000.0, rel=1e-6)


def test_interpolation_between_expiries(make_chain):
    late = datetime(2026, 6, 26, 8, tzinfo=UTC)
    chain = pl.concat([make_chain(forward=90_000.0), make_chain(forward=91_000.0, expiry=late)])
    curve = estimate_forwards(chain)
    first, last = (int(e) for e in curve.expiry_ns)
    middle = (first + last) // 2
    values = curve.interpolate([first - 10**15, first, middle, last, last + 10**15])
    expected = [90_000, 90_000, np.sqrt(90_000 * 91_000), 91_000, 91_000]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    with pytest.raises(UnknownInstrument, match="use interpolate"):
        curve.forward_of(middle)


def test_nothing_to_estimate_from(make_chain):
    with pytest.raises(EmptyData, match="found none"):
        estimate_forwards(make_chain().with_columns(forward=NULL, bid=NULL))
    with pytest.raises(EmptyData, match="no rows"):
        estimate_forwards(make_chain().clear())


def test_several_times_are_refused(make_chain):
    later = make_chain(ts=make_chain()["ts"][0] + timedelta(hours=1))
    with pytest.raises(DataError, match="one time and one underlying"):
        estimate_forwards(pl.concat([make_chain(), later]))


def test_settings_are_checked():
    with pytest.raises(ConfigError):
        ForwardSettings(methods=())


def test_weighted_median():
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_median(values, np.ones(3)) == 2.0
    assert weighted_median(values, np.array([10.0, 1.0, 1.0])) == 3.0
    assert weighted_median(np.array([1.0, 2.0]), np.ones(2)) == 1.5


def test_pairs_never_mix_settlements_or_venues(make_chain):
    calls = make_chain(venue="deribit").filter(pl.col("is_call"))
    puts = make_chain(venue="aurora").filter(~pl.col("is_call"))
    assert parity_forwards(pl.concat([calls, puts])) == {}
    usd_puts = make_chain(settlement="usd").filter(~pl.col("is_call"))
    assert parity_forwards(pl.concat([calls, usd_puts])) == {}


@pytest.mark.recorded
def test_recorded_parity_agrees_with_the_venue(recorded):
    from ivhedge.market import read_chains, snapshots

    chains = read_chains(recorded / "deribit_chains" / "BTC", start="2026-02-01", end="2026-02-05")
    gaps, scores = [], []
    for snapshot in snapshots(chains):
        chain = clean_chain(snapshot.chain).chain
        own = estimate_forwards(chain)
        assert set(own.table["method"]) <= {"venue", "parity"}
        parity = parity_forwards(chain)
        for venue, expiry, forward in own.table.select(
            "venue", pl.col("expiry").dt.epoch("ns"), "forward"
        ).iter_rows():
            pair = parity.get((venue, expiry))
            if pair is not None and pair.n_pairs >= 4:
                gaps.append(1e4 * (pair.forward / forward - 1))
                scores.append((pair.forward - forward) / pair.std_error)
    # Published for these data: median -0.04 bp, 5 % and 95 % at -5.0 and +7.6 bp.
    assert abs(np.median(gaps)) < 1.0
    assert np.quantile(np.abs(gaps), 0.9) < 10.0
    assert np.mean(np.abs(scores) < 2) > 0.9
