"""Replays in which something is missing, silent, late or settles in another currency."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import DataError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.engine import BookSpec, SettlementPrices, StructureKind, StructureSpec, replay
from ivhedge.market.simulator import BTC, ETH, SimulationConfig, simulate_market

CALL = StructureSpec(kind=StructureKind.CALL, tenor_days=14.0, notional_usd=-90_000.0)


@pytest.fixture(scope="module")
def two_coins():
    config = SimulationConfig(n_snapshots=11, step_ns=6 * NS_PER_HOUR, assets=(BTC, ETH))
    return list(simulate_market(config, np.random.default_rng(11)).snapshots())


def book_of(*structures):
    return BookSpec(name="b", venue="aurora", collateral_usd=500_000.0, structures=structures)


def without_venue(look, venue, tables=("chain", "futures")):
    return replace(look, **{t: getattr(look, t).filter(pl.col("venue") != venue) for t in tables})


def total_profit(policy, code):
    rows = policy.equity.filter(pl.col("currency") == code).group_by("ts").agg(pl.col("equity").sum())
    rows = rows.sort("ts")["equity"]
    start = (
        rows[0]
        if policy.equity.filter(pl.col("currency") == code)["ts"].min() == (policy.equity["ts"].min())
        else 0.0
    )
    return rows[-1] - start


def test_profit_in_a_currency_that_a_hedge_brings_in_counts_from_its_first_trade(setting):
    config = replace(setting.config, hedge_venues=("dune",))
    result = replay(setting.looks[:6], book_of(CALL), setting.policies[2:3], config)
    found = result.policies[0]
    assert set(found.trades["currency"]) == {"BTC", "USD"}
    assert found.identity["difference"].to_list() == ["0", "0"]
    for code in ("BTC", "USD"):
        attributed = found.attribution.filter(pl.col("currency") == code)["total"].sum()
        assert attributed == pytest.approx(total_profit(found, code), abs=1e-6)
        assert found.summary[f"pnl_{code}"] == pytest.approx(total_profit(found, code), abs=1e-6)
    assert any("settle in USD while risk is counted in coin" in text for text in result.warnings)


def test_a_silent_hedge_venue_is_marked_and_funded_at_what_was_last_known(setting):
    looks = [without_venue(look, "dune") if i == 3 else look for i, look in enumerate(setting.looks[:6])]
    config = replace(setting.config, hedge_venues=("dune",))
    found = replay(looks, book_of(CALL), setting.policies[2:3], config).policies[0]
    assert looks[3].ts_ns in found.equity["ts"].dt.epoch("ns").to_list()
    assert found.trades.filter(
        (pl.col("ts").dt.epoch("ns") == looks[3].ts_ns) & (pl.col("venue") == "dune")
    ).is_empty()


def test_nothing_is_hedged_at_a_made_up_price_while_the_books_venue_is_silent(setting):
    looks = [
        without_venue(look, "aurora", ("futures",)) if i in (1, 2, 3) else look
        for i, look in enumerate(setting.looks[:6])
    ]
    always = replace(setting.policies[1], interval_hours=None)
    result = replay(looks, book_of(CALL), [always], setting.config)
    silent = {look.ts_ns for look in looks[1:4]}
    hedges = result.policies[0].trades.filter(pl.col("purpose") == "hedge")
    assert hedges.height > 0
    assert not silent & set(hedges["ts"].dt.epoch("ns").to_list())
    assert not any("priced at the index" in text for text in result.warnings)


def test_a_time_at_which_one_underlying_is_missing_is_passed_over_and_told(two_coins, setting):
    looks = [look for i, look in enumerate(two_coins) if i != 8]  # BTC of the fifth time
    result = replay(looks, book_of(CALL), setting.policies[:1], setting.config)
    assert result.underlyings == ("BTC", "ETH")
    assert two_coins[8].ts_ns not in result.policies[0].equity["ts"].dt.epoch("ns").to_list()
    assert any("came without BTC" in text for text in result.warnings)


def test_underlyings_that_do_not_come_together_are_refused(two_coins, setting):
    by_turns = [look for i, look in enumerate(two_coins[:12]) if i % 4 in (0, 3)]
    with pytest.raises(DataError, match=r"expected BTC at every time.*choose one underlying"):
        replay(by_turns, book_of(CALL), setting.policies[:1], setting.config)


def test_the_run_begins_when_every_underlying_has_a_surface(two_coins, setting):
    blank = two_coins[1].chain.with_columns(bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64))
    looks = [two_coins[0], replace(two_coins[1], chain=blank), *two_coins[2:]]
    result = replay(looks, book_of(CALL), setting.policies[:1], setting.config)
    assert result.start_ns == two_coins[2].ts_ns
    opening = result.policies[0].equity.sort("ts").head(2)
    assert set(opening["underlying"]) == {"BTC", "ETH"}
    assert opening["equity_usd"].to_list() == pytest.approx([500_000.0] * 2, rel=1e-6)


def test_a_time_that_was_passed_over_still_tells_the_index_at_an_expiry(setting):
    daily = StructureSpec(kind=StructureKind.STRADDLE, tenor_days=1.0, notional_usd=-90_000.0, rolls=False)
    looks = setting.looks
    first = replay(looks, book_of(daily), setting.policies[:1], setting.config)
    expiry_ns = first.policies[0].journal.filter(pl.col("event") == "settlement")["ts"].dt.epoch("ns")[0]
    near = next(i for i, look in enumerate(looks) if look.ts_ns >= expiry_ns)
    blank = looks[near].chain.with_columns(bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64))
    broken = [*looks[:near], replace(looks[near], chain=blank), *looks[near + 1 :]]
    again = replay(broken, book_of(daily), setting.policies[:1], setting.config)
    before, after = looks[near - 1], looks[near]
    price, _ = SettlementPrices().price(
        "BTC", expiry_ns, (before.ts_ns, before.index), (after.ts_ns, after.index)
    )
    settled = again.policies[0].journal.filter(pl.col("event") == "settlement")["detail"][0]
    assert f"at {price:.10g} " in settled


def test_bad_rows_cost_neither_the_run_nor_the_books(setting):
    look = setting.looks[3]
    every_third = pl.int_range(pl.len()) % 3 == 0
    chain = look.chain.with_columns(
        mark=pl.when(every_third).then(pl.lit(-0.01)).otherwise(pl.col("mark")),
        bid=pl.when(every_third).then(pl.lit(float("nan"))).otherwise(pl.col("bid")),
    )
    bad = replace(
        look,
        chain=pl.concat([chain, chain]),
        futures=look.futures.with_columns(mark=pl.lit(float("inf"))),
    )
    looks = [*setting.looks[:3], bad, setting.looks[4]]
    result = replay(looks, setting.book, setting.policies, setting.config)
    assert any("rows came twice or with impossible prices" in text for text in result.warnings)
    for found in result.policies:
        assert found.identity["difference"].to_list() == ["0"]


def test_structures_in_one_contract_share_its_displayed_size(setting):
    size = 3.0
    looks = [
        replace(look, chain=look.chain.with_columns(bid_size=pl.lit(size), ask_size=pl.lit(size)))
        for look in setting.looks[:3]
    ]
    big = replace(CALL, notional_usd=-400_000.0)
    result = replay(looks, book_of(big, big), setting.policies[:1], setting.config)
    sold = result.policies[0].trades.group_by("ts", "instrument").agg(pl.col("quantity").sum())
    assert sold["quantity"].to_list() == [-size] * sold.height
    assert sold.height == 3


def test_a_structure_on_a_coin_without_quotes_is_told(setting):
    book = book_of(CALL, replace(CALL, underlying="DOGE"))
    result = replay(setting.looks[:2], book, setting.policies[:1], setting.config)
    assert any("no quotes of DOGE" in text for text in result.warnings)


def test_hedges_are_taken_off_once_the_book_has_expired(setting):
    daily = StructureSpec(kind=StructureKind.STRADDLE, tenor_days=1.0, notional_usd=-400_000.0, rolls=False)
    policy = replace(setting.policies[3], vega_band=0.05)
    found = replay(setting.looks, book_of(daily), [policy], setting.config).policies[0]
    bought = found.trades.filter((pl.col("purpose") == "hedge") & (pl.col("kind") == "option"))
    assert bought.height > 0
    settled = found.journal.filter(pl.col("event") == "settlement")["ts"].max()

    def held(trades):
        return trades.group_by("instrument").agg(pl.col("quantity").sum())["quantity"].abs().sum()

    assert held(bought) < 0.6 * held(bought.filter(pl.col("ts") <= settled))


def test_a_hedge_venue_without_quotes_is_told(setting):
    config = replace(setting.config, hedge_venues=("binance",))
    result = replay(setting.looks[:2], book_of(CALL), setting.policies[1:2], config)
    assert "nothing was hedged on binance: the run has no quotes of it" in result.warnings
