from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import InstrumentKind
from ivhedge.core.errors import ConfigError, DataError, LimitBreach
from ivhedge.hedge import CostModel, Quote
from ivhedge.ledger.profiles import load_fees

from ._stub import COSTS, option, perpetual

FEES = {"deribit": load_fees("deribit")}


def test_a_buy_pays_the_ask_and_the_fee():
    cost = COSTS.trade_cost(option(), Decimal("2"), 0.049, 0.0505, 0.0498, 80_000.0)
    assert cost.fill_price == Decimal("0.0505")
    assert cost.spread == pytest.approx(2 * (0.0505 - 0.0498))
    assert cost.fee == pytest.approx(2 * 0.0003)
    assert cost.impact == cost.mark_gap == 0.0
    assert cost.total_usd == pytest.approx((2 * 0.0007 + 0.0006) * 80_000)


def test_a_sell_of_an_inverse_future_loses_in_coin():
    cost = COSTS.trade_cost(perpetual(), Decimal("-800"), 79_990.0, 80_010.0, 80_000.0, 80_000.0)
    assert cost.fill_price == Decimal("79990.0")
    assert cost.spread == pytest.approx(8_000 * (1 / 79_990 - 1 / 80_000))
    assert cost.fee == pytest.approx(0.0005 * 8_000 / 79_990, abs=1e-8)


def test_a_mark_outside_the_quote_is_no_gain_from_trading():
    cost = COSTS.trade_cost(option(), Decimal("1"), 0.05, 0.052, 0.06, 80_000.0)
    assert cost.spread == 0.0
    assert cost.mark_gap == pytest.approx(0.052 - 0.06)
    loss_at_mark = 0.052 - 0.06
    assert cost.spread + cost.impact + cost.mark_gap == pytest.approx(loss_at_mark)


@pytest.mark.parametrize(("bid", "ask"), [(None, None), (np.nan, None), (0.0, -1.0)])
def test_only_a_mark_means_the_assumed_half_spread_on_the_ladder(bid, ask):
    cost = COSTS.trade_cost(perpetual(), Decimal("100"), bid, ask, 80_000.0, 80_000.0)
    assert cost.fill_price == Decimal("80004.0")  # half a basis point
    with pytest.raises(DataError, match="an ask"):
        COSTS.trade_cost(option(), Decimal("1"), bid, ask, 0.05, 80_000.0)


def test_a_missing_or_worthless_side_and_a_crossed_quote_cannot_be_traded():
    with pytest.raises(DataError, match="a bid"):
        COSTS.trade_cost(option(), Decimal("-1"), None, 0.05, 0.05, 80_000.0)
    with pytest.raises(DataError, match="a bid"):
        COSTS.trade_cost(option(), Decimal("-1"), 0.00001, 0.05, 0.05, 80_000.0)
    with pytest.raises(DataError, match="an ask"):
        COSTS.trade_cost(option(), Decimal("1"), 0.06, 0.05, 0.05, 80_000.0)


def test_a_displayed_size_is_never_exceeded():
    with pytest.raises(LimitBreach, match="displayed size"):
        COSTS.trade_cost(option(), Decimal("3"), 0.049, 0.05, 0.0495, 80_000.0, ask_size=2.5)
    unit = COSTS.unit_cost(option(), Quote(bid=0.049, ask=0.05, mark=0.0495, ask_size=2.5, index=80_000.0))
    assert (unit.max_buy, unit.max_sell) == (2.5, np.inf)


def test_impact_of_an_inverse_future_is_counted_at_its_price():
    model = CostModel(fees=FEES, assumed_size={InstrumentKind.PERPETUAL: 1000.0})
    quote = Quote(bid=79_900.0, ask=80_100.0, mark=80_000.0, index=80_000.0)
    charged = model.charge(perpetual(), Decimal(3000), quote).impact * 80_000.0
    unit = model.unit_cost(perpetual(), quote)
    # The fill is rounded up by at most a tick of 0.5 on a shift of 66.7.
    assert unit.impact * 2000.0**2 == pytest.approx(charged, rel=0.01)


def test_nothing_displayed_means_nothing_to_trade():
    quote = Quote(bid=0.049, ask=0.05, mark=0.0495, bid_size=np.nan, ask_size=0.0, index=80_000.0)
    unit = COSTS.unit_cost(option(), quote)
    assert (unit.buy, unit.max_buy, unit.max_sell) == (np.inf, 0.0, np.inf)
    with pytest.raises(LimitBreach, match="displayed size"):
        COSTS.charge(option(), Decimal("0.1"), quote)


def test_a_side_of_unknown_size_has_impact_though_the_other_is_known():
    model = CostModel(fees=FEES, assumed_size={InstrumentKind.OPTION: 10.0})
    quote = Quote(bid=0.040, ask=0.050, mark=0.045, bid_size=50.0, index=80_000.0)
    assert model.charge(option(), Decimal("40"), quote).impact > 0.0
    assert model.charge(option(), Decimal("-40"), quote).impact == 0.0
    assert model.unit_cost(option(), quote).free_size == 10.0


def test_impact_grows_beyond_the_assumed_size():
    model = CostModel(fees=FEES, assumed_size={InstrumentKind.OPTION: 10.0}, impact_half_spreads=2.0)
    quote = (0.040, 0.050, 0.045, 80_000.0)
    small = model.trade_cost(option(), Decimal("10"), *quote)
    large = model.trade_cost(option(), Decimal("20"), *quote)
    assert small.impact == 0.0
    # Mean shift 2 · 0.005 · ½ · 10² / (10 · 20) = 0.0025, on the ladder already.
    assert large.fill_price == Decimal("0.0525")
    unit = model.unit_cost(option(), Quote(bid=0.04, ask=0.05, mark=0.045, index=80_000.0))
    assert unit.impact * 10**2 == pytest.approx(large.impact * 80_000.0)


INSTRUMENTS = [option(), option(coin=False), perpetual(), perpetual(coin=False), perpetual(days=30)]


@given(
    st.sampled_from(INSTRUMENTS),
    st.integers(-500, 500).filter(bool),
    st.floats(0.001, 0.2),
    st.floats(0.0, 0.5),
    st.floats(-0.5, 1.5),
)
@settings(max_examples=200, deadline=None)
def test_costs_are_never_negative_and_unit_cost_is_the_same_cost(item, lots, bid, width, where):
    if not (item.is_option and item.is_inverse):
        bid *= 80_000.0
    ask, mark = bid * (1 + width), bid * (1 + width * where)
    quote = Quote(bid=bid, ask=ask, mark=mark, index=80_000.0)
    quantity = lots * item.lot
    cost = COSTS.charge(item, quantity, quote)
    assert cost.spread >= 0.0
    assert cost.fee >= 0.0
    unit = COSTS.unit_cost(item, quote)
    per = unit.buy if lots > 0 else unit.sell
    # The fee is rounded to 1e-8 coin on every trade: one unit of it is 0.0008 USD.
    assert cost.total_usd == pytest.approx(per * abs(float(quantity)), rel=1e-9, abs=1e-3)


def test_bad_input():
    with pytest.raises(ConfigError, match="fee schedule"):
        CostModel(fees={}).trade_cost(perpetual(), Decimal(1), 1.0, 2.0, 1.5, 1.0)
    with pytest.raises(DataError, match="quantity"):
        COSTS.trade_cost(perpetual(), Decimal(0), 1.0, 2.0, 1.5, 1.0)
    with pytest.raises(DataError, match="index"):
        COSTS.trade_cost(perpetual(), Decimal(1), 1.0, 2.0, 1.5, np.nan)
    with pytest.raises(ConfigError, match="half spreads"):
        CostModel(fees=FEES, half_spread_bps={InstrumentKind.FUTURE: -1.0})
    with pytest.raises(ConfigError, match="assumed sizes"):
        CostModel(fees=FEES, assumed_size={InstrumentKind.FUTURE: 0.0})
    with pytest.raises(ConfigError, match="impact"):
        CostModel(fees=FEES, impact_half_spreads=np.inf)
