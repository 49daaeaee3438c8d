from dataclasses import replace
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import CalibrationError, ConfigError, EmptyData
from ivhedge.core.units import NS_PER_DAY, parse_time
from ivhedge.engine import (
    BookSpec,
    HoldingSpec,
    SettlementPrices,
    StructureKind,
    StructureSpec,
    replay,
)
from ivhedge.engine.result import ATTRIBUTION_TERMS
from ivhedge.market import MarketSnapshot, read_chains, read_futures, snapshots
from ivhedge.market.simulator import BTC, SimulationConfig, simulate_market

NAMES = ("none", "delta daily", "delta band", "delta + vega")


def policy(result, name):
    return next(p for p in result.policies if p.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_the_money_closes_to_the_last_grain(setting, name):
    identity = policy(setting.result, name).identity
    assert identity.height == 1
    assert identity["difference"].to_list() == ["0"]
    assert identity["cash_and_marks"][0] == identity["flows"][0]


@pytest.mark.parametrize("name", NAMES)
def test_attribution_adds_up_to_the_change_of_equity(setting, name):
    found = policy(setting.result, name)
    equity = found.equity.sort("ts")["equity"].to_numpy()
    assert equity[0] == pytest.approx(1_000_000 / setting.looks[0].index, abs=1e-8)
    changes = np.diff(equity)
    assert found.attribution.sort("ts")["total"].to_numpy() == pytest.approx(changes, abs=2e-8)
    terms = found.attribution.select(pl.sum_horizontal(ATTRIBUTION_TERMS).alias("sum"))["sum"].to_numpy()
    assert terms == pytest.approx(found.attribution["total"].to_numpy(), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_residual_is_small_against_gross(setting, name):
    assert 0.0 <= policy(setting.result, name).summary["residual_share_of_gross"] < 0.005


def test_every_policy_holds_the_same_book(setting):
    def own(name):
        trades = policy(setting.result, name).trades.filter(pl.col("purpose") != "hedge")
        return trades.select("ts", "instrument", "quantity", "price", "fee")

    assert own("none").height > 0
    for name in NAMES[1:]:
        assert own(name).equals(own("none"))


def test_policies_do_what_they_say(setting):
    def hedges(name):
        return policy(setting.result, name).trades.filter(pl.col("purpose") == "hedge")

    assert hedges("none").is_empty()
    assert set(hedges("delta daily")["kind"]) == {"perpetual"}
    gaps = hedges("delta daily")["ts"].unique().sort().diff().drop_nulls()
    assert gaps.dt.total_hours().min() >= 24
    assert "option" in set(hedges("delta + vega")["kind"])


def test_hedging_brings_the_exposures_down(setting):
    def mean_abs(name, column):
        return float(policy(setting.result, name).equity[column].abs().mean())

    own = policy(setting.result, "none").trades
    band = 0.03 * float(own["quantity"].abs().sum())
    assert float(policy(setting.result, "delta band").equity["delta_coin"].abs().max()) <= band + 0.01
    assert float(policy(setting.result, "none").equity["delta_coin"].abs().max()) > band
    assert mean_abs("delta + vega", "vega_usd_per_vol_point") < 0.6 * mean_abs(
        "none", "vega_usd_per_vol_point"
    )


def test_costs_are_always_charged(setting):
    for name in NAMES:
        trades = policy(setting.result, name).trades
        assert (trades["fee"] > 0).all()
        assert policy(setting.result, name).summary["slippage_usd"] > 0


def test_no_trade_exceeds_the_displayed_size(setting):
    quotes = pl.concat(
        [
            look.chain.select("ts", "venue", "instrument_name", "bid_size", "ask_size")
            for look in setting.looks
        ]
    )
    trades = policy(setting.result, "delta + vega").trades.filter(pl.col("kind") == "option")
    joined = trades.join(
        quotes, left_on=["ts", "venue", "instrument"], right_on=["ts", "venue", "instrument_name"]
    )
    assert joined.height == trades.height
    per_name = joined.group_by("ts", "instrument").agg(
        pl.col("quantity").sum(), pl.col("bid_size", "ask_size").first()
    )
    room = pl.when(pl.col("quantity") > 0).then(pl.col("ask_size")).otherwise(pl.col("bid_size"))
    assert per_name.filter(pl.col("quantity").abs() > room + 1e-9).is_empty()


def test_the_same_input_gives_the_same_result_bit_for_bit(setting):
    again = replay(
        setting.looks,
        setting.book,
        setting.policies,
        setting.config,
        settlements=setting.settlements,
        seed=11,
    )
    for left, right in zip(setting.result.policies, again.policies, strict=True):
        assert left == right
    assert setting.result.surfaces.equals(again.surfaces)


def test_nothing_looks_ahead(setting):
    half = setting.looks[:6]
    early = replay(half, setting.book, setting.policies, setting.config, settlements=setting.settlements)
    for name in NAMES:
        short, long = policy(early, name), policy(setting.result, name)
        cut = long.trades.filter(pl.col("ts") <= short.equity["ts"].max())
        assert short.trades.equals(cut)
        assert short.equity.equals(long.equity.head(short.equity.height))


def test_every_published_surface_is_certified(setting):
    assert setting.result.surfaces["certificate_valid"].all()
    assert setting.result.surfaces.height == len(setting.looks)


def test_usd_numeraire_hedges_the_collateral(setting):
    config = replace(setting.config, numeraire="usd")
    result = replay(
        setting.looks, setting.book, setting.policies[2:3], config, settlements=setting.settlements
    )
    rows = result.policies[0].equity
    exposed = (rows["delta_usd"] + rows["cash"]).abs()
    # The first snapshots are short of displayed size; from the third on the collateral is hedged.
    assert float(exposed[3:].max()) < 0.1 * float(rows["cash"].max())


def test_structures_roll_once_they_have_settled(looks, settlements, setting):
    daily = StructureSpec(kind=StructureKind.STRADDLE, tenor_days=1.0, notional_usd=-90_000.0)
    book = BookSpec(name="dailies", venue="aurora", collateral_usd=500_000.0, structures=(daily,))
    result = replay(looks, book, setting.policies[:1], setting.config, settlements=settlements)
    found = result.policies[0]
    assert found.trades.filter(pl.col("purpose") == "roll").height >= 2
    assert found.journal.filter(pl.col("event") == "settlement").height >= 2
    assert "settlement prices of the record" in " ".join(result.assumptions)
    assert found.identity["difference"].to_list() == ["0"]


def test_delivery_fees_of_a_friday_expiry_are_charged_and_attributed(setting):
    config = SimulationConfig(start_ns=parse_time("2026-01-08T00:00Z"), n_snapshots=7, assets=(BTC,))
    market = simulate_market(config, np.random.default_rng(5))
    straddle = StructureSpec(kind=StructureKind.STRADDLE, tenor_days=1.3, notional_usd=-90_000.0, rolls=False)
    book = BookSpec(name="weekly", venue="aurora", collateral_usd=500_000.0, structures=(straddle,))
    settled = SettlementPrices.from_table(market.settlements)
    found = replay(
        market.snapshots(), book, setting.policies[:1], setting.config, settlements=settled
    ).policies[0]
    assert {name.split("-")[1] for name in found.trades["instrument"]} == {"9JAN26"}
    delivery = -float(found.attribution["fees"].sum()) - float(found.trades["fee"].sum())
    assert delivery > 0.0
    assert found.attribution["total"].sum() == pytest.approx(
        found.equity["equity"][-1] - found.equity["equity"][0], abs=2e-8
    )


def test_a_holding_that_never_quotes_is_reported(looks, setting):
    book = BookSpec(
        name="half there",
        venue="aurora",
        collateral_usd=100_000.0,
        structures=setting.book.structures[:1],
        holdings=(HoldingSpec(instrument="BTC-26JUN26-1-C", contracts=Decimal(1)),),
    )
    result = replay(looks[:2], book, setting.policies[:1], setting.config)
    assert any("BTC-26JUN26-1-C was never quoted" in warning for warning in result.warnings)


def test_a_book_that_cannot_be_opened_at_all_is_refused(looks, setting):
    book = BookSpec(
        name="nothing",
        venue="aurora",
        collateral_usd=1.0,
        holdings=(HoldingSpec(instrument="BTC-26JUN26-1-C", contracts=Decimal(1)),),
    )
    with pytest.raises(EmptyData, match=r"nothing could be opened.*BTC-26JUN26-1-C"):
        replay(looks[:2], book, setting.policies[:1], setting.config)


def test_no_snapshots_and_no_policies_are_refused(looks, setting):
    with pytest.raises(EmptyData, match="found none"):
        replay([], setting.book, setting.policies, setting.config)
    with pytest.raises(ConfigError, match="at least one policy"):
        replay(looks, setting.book, (), setting.config)


def test_an_unknown_venue_names_the_known_ones(looks, setting):
    with pytest.raises(ConfigError, match=r"aurora.*nasdaq"):
        replay(looks, replace(setting.book, venue="nasdaq"), setting.policies, setting.config)


def without_quotes(look):
    blank = look.chain.with_columns(bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64))
    return MarketSnapshot(
        ts_ns=look.ts_ns, underlying=look.underlying, index=look.index, chain=blank, futures=look.futures
    )


def test_a_snapshot_without_a_surface_is_passed_over_and_told(looks, setting, settlements):
    broken = [*looks[:4], without_quotes(looks[4]), *looks[5:]]
    result = replay(broken, setting.book, setting.policies, setting.config, settlements=settlements)
    assert any("no certified surface" in warning for warning in result.warnings)
    assert looks[4].ts_ns not in result.policies[0].equity["ts"].dt.epoch("ns").to_list()
    assert all(p.identity["difference"].to_list() == ["0"] for p in result.policies)


def test_too_many_snapshots_without_a_surface_end_the_run(looks, setting):
    with pytest.raises(CalibrationError, match="2 of 4 snapshots"):
        replay(
            [looks[0], without_quotes(looks[1]), without_quotes(looks[2]), looks[3]],
            setting.book,
            setting.policies,
            setting.config,
        )


def test_progress_counts_every_snapshot(looks, setting):
    seen = []
    replay(looks[:3], setting.book, setting.policies[:1], setting.config, progress=seen.append)
    assert seen == [1, 2, 3]


@pytest.mark.recorded
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_recorded_chains_replay_with_closed_books(recorded, setting, coin):
    folder = recorded / "deribit_chains" / coin
    window = {"start": "2026-01-05", "end": "2026-01-08"}
    looks = list(snapshots(read_chains(folder, **window), read_futures(folder, **window)))
    book = replace(setting.book, venue="deribit")
    result = replay(looks, book, setting.policies, setting.config)
    assert result.n_snapshots == len(looks) >= 12
    assert result.surfaces["certificate_valid"].all()
    for found in result.policies:
        assert found.identity["difference"].to_list() == ["0"]
        assert found.summary["residual_share_of_gross"] < 0.05
    days = (result.end_ns - result.start_ns) / NS_PER_DAY
    assert 3.0 < days < 4.0
