from dataclasses import replace
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from ivhedge.app.showcase import showcase_book, showcase_policies
from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.engine import BookSpec, HoldingSpec, ReplayConfig, StructureKind, StructureSpec
from ivhedge.engine.desk import SPOT_SHOCKS, VOL_SHOCKS, open_desk
from ivhedge.hedge import PlanStatus
from ivhedge.market import FUTURES_SCHEMA, MarketSnapshot

CONFIG = ReplayConfig(name="plan")
NONE, DAILY, _, VEGA = showcase_policies()


@pytest.fixture(scope="module")
def desk(looks):
    return open_desk(looks[0], showcase_book())


def test_the_book_is_opened_on_certified_contracts_of_its_venue(desk, looks):
    assert (desk.underlying, desk.ts_ns, desk.index) == ("BTC", looks[0].ts_ns, looks[0].index)
    assert desk.fit.certificate.valid
    assert desk.book.positions
    for position in desk.book.positions:
        assert position.instrument.venue == "aurora"
        assert position.instrument.is_option
        assert position.quantity < 0


def test_exposures_are_those_of_a_short_strangle_ladder(desk):
    total = desk.exposures().total("BTC")
    assert total["vega_usd_per_vol_point"] < 0 < total["theta_usd_per_day"]
    assert total["gamma_1pct_usd"] < 0


def test_the_spot_vol_matrix_is_zero_where_nothing_moves(desk):
    matrix = desk.spot_vol()
    assert matrix.pnl_usd.shape == (SPOT_SHOCKS.size, VOL_SHOCKS.size)
    still = matrix.pnl_usd[np.flatnonzero(SPOT_SHOCKS == 0)[0], np.flatnonzero(VOL_SHOCKS == 0)[0]]
    assert still == pytest.approx(0.0, abs=1e-6)
    assert (matrix.pnl_usd[:, -1] < matrix.pnl_usd[:, 0]).all()  # short vol: higher vol is worse


def test_a_delta_plan_brings_delta_inside_its_band_with_the_perpetual(looks):
    lopsided = StructureSpec(kind=StructureKind.PUT, tenor_days=14.0, notional_usd=-200_000.0)
    book = BookSpec(name="puts", venue="aurora", collateral_usd=1.0, structures=(lopsided,))
    desk = open_desk(looks[0], book)
    plan = desk.plan(DAILY, CONFIG)
    assert plan.status is PlanStatus.OK
    assert [leg.instrument.name for leg in plan.legs] == ["BTC-PERPETUAL"]
    assert plan.legs[0].quantity < 0  # short puts are long delta
    delta = next(factor for factor in plan.factors if factor.name == "delta")
    assert delta.lower <= delta.after <= delta.upper < delta.before


def test_a_vega_plan_may_buy_options_back_but_never_the_books_own(desk):
    plan = desk.plan(VEGA, CONFIG)
    own = {position.instrument.key for position in desk.book.positions}
    assert any(leg.instrument.is_option for leg in plan.legs)
    assert not own & {leg.instrument.key for leg in plan.legs}


def test_a_policy_that_does_not_hedge_has_no_plan(desk):
    with pytest.raises(ConfigError, match="'none' does not hedge"):
        desk.plan(NONE, CONFIG)


def test_a_record_without_futures_gets_a_perpetual_at_the_index(looks):
    look = looks[0]
    bare = MarketSnapshot(
        ts_ns=look.ts_ns,
        underlying="BTC",
        index=look.index,
        chain=look.chain,
        futures=pl.DataFrame(schema=FUTURES_SCHEMA),
    )
    desk = open_desk(bare, showcase_book())
    assert desk.snapshot.futures["instrument_name"].to_list() == ["BTC-PERPETUAL"]


def test_what_could_not_be_opened_is_told(looks):
    never = HoldingSpec(instrument="BTC-26JUN26-1-C", contracts=Decimal(1))
    desk = open_desk(looks[0], replace(showcase_book(), holdings=(never,)))
    assert any("BTC-26JUN26-1-C was never quoted" in text for text in desk.warnings)
    with pytest.raises(EmptyData, match=r"nothing could be opened.*BTC-26JUN26-1-C"):
        open_desk(looks[0], replace(showcase_book(), structures=(), holdings=(never,)))


def test_the_same_contract_wanted_twice_is_one_position(looks):
    leg = StructureSpec(kind=StructureKind.CALL, tenor_days=30.0, notional_usd=-20_000.0)
    once = BookSpec(name="b", venue="aurora", collateral_usd=1.0, structures=(leg,))
    single = open_desk(looks[0], once).book.positions
    double = open_desk(looks[0], replace(once, structures=(leg, leg))).book.positions
    assert len(single) == len(double) == 1
    assert double[0].quantity == 2 * single[0].quantity
    opposite = replace(leg, notional_usd=20_000.0)
    assert open_desk(looks[0], replace(once, structures=(leg, opposite))).book.positions == ()


def test_the_collateral_counts_as_delta_in_dollars(desk):
    plan = desk.plan(DAILY, replace(CONFIG, numeraire="usd"))
    delta = next(factor for factor in plan.factors if factor.name == "delta")
    own = desk.exposures().total("BTC")["delta_usd"]
    assert delta.before == pytest.approx(own + 1_000_000 / desk.index, abs=1e-6)


def test_the_assumed_half_spread_of_the_run_is_charged(looks):
    bare = looks[0].futures.with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("bid", "ask", "bid_size", "ask_size")
    )
    lopsided = StructureSpec(kind=StructureKind.PUT, tenor_days=14.0, notional_usd=-200_000.0)
    book = BookSpec(name="puts", venue="aurora", collateral_usd=1.0, structures=(lopsided,))
    desk = open_desk(replace(looks[0], futures=bare), book)
    cheap = desk.plan(DAILY, replace(CONFIG, perpetual_half_spread_bps=0.5)).legs[0].cost
    dear = desk.plan(DAILY, replace(CONFIG, perpetual_half_spread_bps=50.0)).legs[0].cost
    assert float(dear.fill_price) < float(cheap.fill_price)
