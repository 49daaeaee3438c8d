from dataclasses import replace
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ivhedge.core import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, parse_time
from ivhedge.core.instruments import InstrumentKind
from ivhedge.market.instruments import instrument_from_name
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA
from ivhedge.market.simulator import (
    BTC,
    DEFAULT_VENUES,
    Outage,
    OutageMode,
    SimulationConfig,
    simulate_market,
)
from ivhedge.pricing import black76_price, implied_vol

CONFIG = SimulationConfig(n_snapshots=6)
TABLES = ("chains", "futures", "truth", "states", "settlements", "venues", "labels")
KEYS = ("ts", "venue", "underlying", "instrument_name")


def simulate(config, seed=11):
    return simulate_market(config, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def market():
    return simulate(CONFIG)


@pytest.fixture(scope="module")
def quotes(market):
    """Chain rows with their labels and the basis of their venue."""
    table = market.chains.join(market.labels, on=KEYS, how="inner", validate="1:1")
    return table.join(market.venues, on=["ts", "venue"], validate="m:1")


def quiet(venue, **changes):
    """The venue without accidents, plus the changes."""
    calm = {
        "missing_side_probability": 0.0,
        "stale_probability": 0.0,
        "outlier_probability": 0.0,
        "outage_probability": 0.0,
    }
    return replace(venue, **{**calm, **changes})


def test_tables_have_their_schemas_and_hold_five_venues_and_two_assets(market):
    assert dict(market.chains.schema) == CHAIN_SCHEMA
    assert dict(market.futures.schema) == FUTURES_SCHEMA
    assert market.chains["venue"].n_unique() == 5
    assert market.chains["underlying"].unique().sort().to_list() == ["BTC", "ETH"]
    order = ["ts", "underlying", "venue", "expiry", "strike", "is_call"]
    assert_frame_equal(market.chains, market.chains.sort(order))
    assert market.chains.select(KEYS).is_duplicated().sum() == 0
    assert_frame_equal(market.chains.select(KEYS), market.labels.select(KEYS))
    counts = market.truth.group_by("ts", "underlying").agg(pl.col("expiry").n_unique())
    assert counts["expiry"].min() >= 9


def test_the_same_seed_gives_the_same_market_bit_for_bit(market):
    again = simulate(CONFIG)
    for name in TABLES:
        assert_frame_equal(getattr(market, name), getattr(again, name), check_exact=True)
    assert not market.states["spot"].equals(simulate(CONFIG, seed=12).states["spot"])


def test_a_shorter_run_is_the_beginning_of_a_longer_one(market):
    short = simulate(replace(CONFIG, n_snapshots=3))
    last = short.states["ts"].max()
    for name in TABLES:
        longer = getattr(market, name).filter(pl.col("ts") <= last)
        assert_frame_equal(getattr(short, name), longer, check_exact=True)


def test_one_venue_does_not_change_the_others(market):
    fewer = simulate(replace(CONFIG, venues=DEFAULT_VENUES[:2]))
    assert_frame_equal(fewer.chains, market.chains.filter(pl.col("venue").is_in(["aurora", "borealis"])))


def test_missing_is_null_and_nothing_is_nan_zero_or_negative(market):
    for table in (market.chains, market.futures, market.truth, market.states, market.settlements):
        numbers = table.select(pl.selectors.float())
        assert numbers.select(pl.all().is_nan().any()).row(0) == (False,) * numbers.width
    for table in (market.chains, market.futures):
        for name in ("bid", "ask", "bid_size", "ask_size", "mark", "index"):
            assert table[name].min() > 0.0
    chains = market.chains
    assert chains["bid"].is_null().equals(chains["bid_size"].is_null())
    assert chains["ask"].is_null().equals(chains["ask_size"].is_null())
    assert 0.02 < chains["bid"].is_null().mean() < 0.30
    complete = [n for n in CHAIN_SCHEMA if n not in ("bid", "ask", "bid_size", "ask_size", "mark")]
    assert chains.select(complete).null_count().sum_horizontal()[0] == 0


def test_no_quote_is_crossed_or_locked(market):
    for table in (market.chains, market.futures):
        both = table.drop_nulls(["bid", "ask"])
        assert (both["bid"] < both["ask"]).all()


def test_events_come_before_receipt_before_snapshot(market):
    for table in (market.chains, market.futures):
        assert (table["ts_event"] <= table["ts_recv"]).all()
        assert (table["ts_recv"] <= table["ts"]).all()


def test_prices_and_sizes_lie_on_the_grid_of_the_contract(market):
    for table in (market.chains, market.futures):
        sample = table.sample(1_500, seed=3, with_replacement=True)
        for row in sample.iter_rows(named=True):
            contract = instrument_from_name(row["venue"], row["instrument_name"])
            assert contract.settlement.value == row["settlement"]
            for side in ("bid", "ask"):
                if row[side] is not None:
                    assert contract.ticks.is_on_grid(Decimal(repr(row[side]))), row
                    assert Decimal(repr(row[f"{side}_size"])) % contract.lot == 0, row


def test_names_agree_with_columns(market):
    for row in market.chains.sample(500, seed=1).iter_rows(named=True):
        contract = instrument_from_name(row["venue"], row["instrument_name"], underlying=row["underlying"])
        assert contract.kind is InstrumentKind.OPTION
        assert (float(contract.strike), contract.is_call) == (row["strike"], row["is_call"])
        assert contract.expiry_ns == int(row["expiry"].timestamp()) * NS_PER_SECOND


def _true_forward(table, market):
    truth = market.truth.select(
        "ts", "underlying", "expiry", "strike", "true_forward", "true_iv", "true_atm_iv", "tau"
    )
    joined = table.join(truth, on=["ts", "underlying", "expiry", "strike"], validate="m:1")
    return joined.with_columns(venue_forward=pl.col("true_forward") * (1.0 + pl.col("index_basis")))


def test_parity_holds_within_the_spreads_of_fresh_quotes(quotes, market):
    fresh = quotes.filter(~pl.col("is_stale") & ~pl.col("is_outlier"))
    table = _true_forward(fresh, market)
    keys = ["ts", "venue", "underlying", "expiry", "strike"]
    calls = table.filter("is_call").select(*keys, "venue_forward", "settlement", c_bid="bid", c_ask="ask")
    puts = table.filter(~pl.col("is_call")).select(*keys, p_bid="bid", p_ask="ask")
    pairs = calls.join(puts, on=keys).with_columns(
        unit=pl.when(pl.col("settlement") == "coin").then(pl.col("venue_forward")).otherwise(1.0)
    )
    value = (pairs["venue_forward"] - pairs["strike"]) / pairs["unit"]
    high = (pairs["c_ask"] - pairs["p_bid"] - value).drop_nulls()
    low = (value - pairs["c_bid"] + pairs["p_ask"]).drop_nulls()
    assert high.len() > 2_000
    assert high.min() > -1e-9
    assert low.min() > -1e-9


def test_fresh_quotes_contain_the_mark_and_the_mark_is_truth_plus_bias(quotes, market):
    fresh = _true_forward(quotes.filter(~pl.col("is_stale") & ~pl.col("is_outlier")), market)
    assert (fresh["bid"] <= fresh["mark"] + 1e-12).drop_nulls().all()
    assert (fresh["ask"] >= fresh["mark"] - 1e-12).drop_nulls().all()
    # venues without a basis see exactly the strikes of the truth table
    coin = fresh.filter(pl.col("settlement") == "coin", pl.col("true_iv").is_not_null())
    k = np.log(coin["strike"].to_numpy() / coin["true_forward"].to_numpy())
    z = np.clip(k / coin["true_atm_iv"].to_numpy() / np.sqrt(coin["tau"].to_numpy()), -3.0, 3.0)
    bias = coin["level_bias"].to_numpy() + coin["slope_bias"].to_numpy() * z
    assert coin["mark_iv"].to_numpy() == pytest.approx(coin["true_iv"].to_numpy() + bias, abs=1e-12)
    assert set(coin["venue"]) == {"aurora", "borealis", "cirrus"}


def test_marks_invert_to_mark_iv(quotes, market):
    table = _true_forward(quotes.filter(pl.col("status") == "live").drop_nulls("mark"), market)
    forward = table["venue_forward"].to_numpy()
    expected = black76_price(
        forward, table["strike"].to_numpy(), table["tau"].to_numpy(), table["mark_iv"].to_numpy(),
        table["is_call"].to_numpy(),
    )  # fmt: skip
    unit = np.where(table["settlement"].to_numpy() == "coin", forward, 1.0)
    assert table["mark"].to_numpy() == pytest.approx(expected / unit, rel=1e-12)


def test_truth_is_consistent_and_settles_in_parity(market):
    truth = market.truth.drop_nulls("true_iv")
    arrays = {name: truth[name].to_numpy() for name in truth.columns if truth.schema[name] == pl.Float64}
    f, strike = arrays["true_forward"], arrays["strike"]
    vol = implied_vol(arrays["true_price"], f, strike, arrays["tau"], strike >= f)
    assert vol == pytest.approx(arrays["true_iv"], rel=1e-9)
    assert arrays["true_call"] - arrays["true_put"] == pytest.approx(f - strike, abs=1e-8)
    assert market.truth["true_iv"].null_count() < 0.05 * market.truth.height


def test_listed_instruments_stay_until_they_expire_and_new_ones_appear():
    one = simulate(replace(CONFIG, n_snapshots=8, venues=(quiet(DEFAULT_VENUES[0]),), assets=(BTC,)))
    seen = [set(part["instrument_name"]) for part in one.chains.partition_by("ts", maintain_order=True)]
    expiry = dict(one.chains.select("instrument_name", "expiry").unique().iter_rows())
    times = one.states["ts"].to_list()
    for before, after, ts in zip(seen[:-1], seen[1:], times[1:], strict=True):
        assert {name for name in before if expiry[name] > ts} <= after
        assert all(expiry[name] > ts for name in after)
    assert seen[-1] - seen[0]
    assert seen[0] - seen[-1]


def test_stale_share_age_and_price_are_as_configured():
    aurora = quiet(DEFAULT_VENUES[0], stale_probability=0.3, spread_noise=0.0, skew_noise=0.0)
    market = simulate(replace(CONFIG, n_snapshots=3, venues=(aurora,), assets=(BTC,)))
    table = market.chains.join(market.labels, on=KEYS)
    assert table["is_stale"].mean() == pytest.approx(0.3, abs=0.03)
    stale = table.filter("is_stale")
    assert (stale["ts_event"] == stale["state_ts"]).all()
    age = (stale["ts"] - stale["ts_event"]).dt.total_seconds().to_numpy()
    assert np.median(age) == pytest.approx(900.0, rel=0.4)  # a power of two of 300 s
    assert age.min() >= 300.0
    assert age.max() <= CONFIG.history_ns / NS_PER_SECOND + 3 * 6 * 3_600
    fresh = table.filter(~pl.col("is_stale"))
    assert (fresh["ts"] - fresh["ts_event"]).dt.total_milliseconds().max() <= 2_000


def test_a_stale_quote_is_the_fresh_quote_of_its_state():
    # quotes of one run at time t, against stale ones of another run that look back to t
    plain = {"spread_noise": 0.0, "skew_noise": 0.0}
    step = 300 * NS_PER_SECOND
    base = replace(CONFIG, step_ns=step, assets=(BTC,), n_snapshots=5)
    live = simulate(replace(base, venues=(quiet(DEFAULT_VENUES[0], **plain),)))
    late = simulate(replace(base, venues=(quiet(DEFAULT_VENUES[0], stale_probability=1.0, **plain),)))
    stale = late.chains.join(late.labels, on=KEYS).filter(pl.col("state_ts").dt.epoch("ns") >= base.start_ns)
    assert stale.height > 500
    fresh = live.chains.select("ts", "instrument_name", "bid", "ask")
    pairs = stale.join(
        fresh, left_on=["state_ts", "instrument_name"], right_on=["ts", "instrument_name"], suffix="_then"
    )
    assert pairs.height > 500
    assert pairs["bid"].equals(pairs["bid_then"], null_equal=True)
    assert pairs["ask"].equals(pairs["ask_then"], null_equal=True)


def test_planned_outages_freeze_or_remove_a_venue():
    start, step = CONFIG.start_ns, CONFIG.step_ns
    windows = {
        mode: (Outage(start_ns=start + 2 * step, end_ns=start + 4 * step, mode=mode),) for mode in OutageMode
    }
    venues = (
        quiet(DEFAULT_VENUES[0]),
        quiet(DEFAULT_VENUES[1], outages=windows[OutageMode.FROZEN]),
        quiet(DEFAULT_VENUES[2], outages=windows[OutageMode.ABSENT]),
    )
    market = simulate(replace(CONFIG, venues=venues, assets=(BTC,)))
    times = market.states["ts"].to_list()
    present = {
        ts: set(part["venue"]) for (ts,), part in market.chains.partition_by("ts", as_dict=True).items()
    }
    gone = [ts for ts in times if "cirrus" not in present[ts]]
    assert gone == times[2:4]
    frozen = market.chains.filter(pl.col("venue") == "borealis")
    columns = ["instrument_name", "bid", "ask", "mark", "forward", "ts_event", "ts_recv"]
    before, during = (frozen.filter(pl.col("ts") == times[i]).select(columns) for i in (1, 2))
    alive = during["instrument_name"]
    assert_frame_equal(during, before.filter(pl.col("instrument_name").is_in(alive.implode())))
    assert (frozen["expiry"] > frozen["ts"]).all()
    labels = market.labels.filter(pl.col("venue") == "borealis", pl.col("ts") == times[3])
    assert labels["is_stale"].all()
    status = market.venues.filter(pl.col("venue") == "borealis")["status"].to_list()
    assert status == ["live", "live", "frozen", "frozen", "live", "live"]


def test_missing_sides_and_outliers_have_their_shares():
    aurora = quiet(DEFAULT_VENUES[0], missing_side_probability=0.2, outlier_probability=0.1)
    market = simulate(replace(CONFIG, n_snapshots=2, venues=(aurora,), assets=(BTC,)))
    assert market.chains["ask"].is_null().mean() == pytest.approx(0.2, abs=0.04)
    assert market.labels["is_outlier"].mean() == pytest.approx(0.1, abs=0.03)


def test_settlement_is_the_mean_of_the_last_half_hour():
    config = replace(CONFIG, step_ns=300 * NS_PER_SECOND, n_snapshots=13, assets=(BTC,))
    config = replace(config, start_ns=parse_time("2026-01-05T07:30Z"), venues=(quiet(DEFAULT_VENUES[0]),))
    market = simulate(config)
    expiry = parse_time("2026-01-05T08:00Z")
    spots = market.states.filter(
        pl.col("ts").dt.epoch("ns").is_between(expiry - 1_800 * NS_PER_SECOND, expiry, closed="right")
    )
    assert spots.height == 6
    assert market.settlements.height == 1
    assert market.settlements["ts"].dt.epoch("ns").to_list() == [expiry]
    assert market.settlements["settlement_price"][0] == pytest.approx(spots["spot"].mean(), rel=1e-14)


def test_every_expiry_of_the_run_settles():
    market = simulate(replace(CONFIG, venues=DEFAULT_VENUES[:1], n_snapshots=9))
    first, last = market.states["ts"].min(), market.states["ts"].max()
    expired = market.chains.filter(pl.col("expiry").is_between(first, last, closed="right"))
    wanted = set(expired.select("expiry", "underlying").unique().iter_rows())
    assert wanted
    assert wanted <= set(market.settlements.select("ts", "underlying").iter_rows())
    assert all(ns % NS_PER_DAY == 8 * NS_PER_HOUR for ns in market.settlements["ts"].dt.epoch("ns"))


def test_perpetual_and_futures_follow_index_and_forward(market):
    perpetual = market.futures.filter(pl.col("kind") == "perpetual")
    assert perpetual["expiry"].is_null().all()
    premium = (perpetual["mark"] / perpetual["index"] - 1.0).to_numpy()
    assert perpetual["funding_8h"].to_numpy() == pytest.approx(premium, abs=1e-12)
    dated = market.futures.filter(pl.col("kind") == "future", pl.col("venue") == "aurora")
    assert dated["funding_8h"].is_null().all()
    truth = market.truth.select("ts", "underlying", "expiry", "true_forward").unique()
    joined = dated.join(truth, on=["ts", "underlying", "expiry"])
    assert joined.height == dated.height > 0
    assert joined["mark"].to_numpy() == pytest.approx(joined["true_forward"].to_numpy(), rel=1e-12)


def test_snapshots_come_in_order_one_per_time_and_underlying(market):
    shots = list(market.snapshots())
    assert len(shots) == 2 * CONFIG.n_snapshots
    assert [s.underlying for s in shots[:2]] == ["BTC", "ETH"]
    assert [s.ts_ns for s in shots] == sorted(s.ts_ns for s in shots)
    assert sum(s.chain.height for s in shots) == market.chains.height
    assert sum(s.futures.height for s in shots) == market.futures.height
    assert all((s.chain["underlying"] == s.underlying).all() for s in shots)
    assert shots[0].index == market.states["spot"][0]


def test_a_market_whose_venues_are_all_absent_still_tells_the_time():
    gone = Outage(start_ns=0, end_ns=2**62, mode=OutageMode.ABSENT)
    market = simulate(replace(CONFIG, venues=(quiet(DEFAULT_VENUES[0], outages=(gone,)),), n_snapshots=2))
    shots = list(market.snapshots())
    assert len(shots) == 4
    assert all(s.chain.is_empty() and dict(s.chain.schema) == CHAIN_SCHEMA for s in shots)
