"""Slippage by cell, and cost models that learn from it."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.hedge import CostModel
from ivhedge.hedge.costs import Quote
from ivhedge.hedge.slippage import (
    LearningSettings,
    PlannedTrade,
    RealisedTrade,
    SlippageRecord,
    learn_costs,
    slippage_table,
)
from ivhedge.ledger import load_fees
from tests.risk._stub import option, perpetual

OPTION, FUTURE = InstrumentKind.OPTION, InstrumentKind.PERPETUAL
PRIOR = CostModel(fees={"deribit": load_fees("deribit")}, assumed_size={OPTION: 10.0})
NOW = 40 * NS_PER_DAY


def record(
    place=0,
    *,
    venue="deribit",
    kind=OPTION,
    contracts=5.0,
    mid=0.05,
    half=0.001,
    delay=0.0,
    wider=0.0,
    impact=0.0,
    filled=1.0,
    moved=0.0,
):
    """A trade whose mid moves by `delay` half-spreads and whose fill lies beyond the touch."""
    side = np.sign(contracts)
    then = mid + side * half * delay
    touch = then + side * half * (1.0 + wider)
    return SlippageRecord(
        ts_ns=NS_PER_HOUR * place,
        venue=venue,
        kind=kind,
        plan=PlannedTrade(contracts=contracts, mid=mid, spread=abs(contracts) * half, impact=0.0, fee=0.0),
        trade=RealisedTrade(
            contracts=filled * contracts,
            price=touch + side * half * impact,
            touch=touch,
            mid=then,
            later_mid=mid + side * half * moved,
            fee=0.0003,
        ),
        half_spread=half,
    )


def test_cells_by_hand():
    records = [record(place, delay=0.5, wider=0.2) for place in range(30)]
    records += [record(place, venue="okx", filled=0.5, moved=2.0) for place in range(5)]
    records.append(record(9, venue="okx", filled=0.0, moved=2.0))
    table = slippage_table(records, rng=np.random.default_rng(1))
    first, second = table.rows(named=True)
    assert (first["venue"], first["trades"], first["filled_share"]) == ("deribit", 30, 1.0)
    assert first["spread"] == pytest.approx(1.2)
    assert first["delay"] == pytest.approx(0.5)
    assert first["planned"] == pytest.approx(1.0)
    fee = 0.0003 / (5.0 * 0.001)
    assert first["excess"] == first["excess_low"] == pytest.approx(0.7 + fee)
    assert (second["trades"], second["unfilled_trades"], second["partial_trades"]) == (6, 1, 5)
    assert second["filled_share"] == pytest.approx(2.5 / 6.0)
    assert second["unfilled"] == pytest.approx((5 * 0.5 * 2.0 + 2.0) / 6.0)
    assert not second["known"]
    assert second["excess_low"] is None
    by_size = slippage_table(
        [record(), record(contracts=50.0), record()], ["size"], rng=np.random.default_rng(1)
    )
    assert by_size["size"].to_list() == ["large", "usual"]
    with pytest.raises(ConfigError, match="coin"):
        slippage_table(records, ["coin"], rng=np.random.default_rng(1))


def test_nothing_is_lost_between_the_cells():
    rng = np.random.default_rng(2)
    records = [
        record(
            place,
            contracts=float(rng.choice([-3, 3, 40])),
            delay=rng.normal(),
            filled=float(rng.choice([0, 0.4, 1])),
        )
        for place in range(60)
    ]
    whole = slippage_table(records, ["kind"], rng=np.random.default_rng(3)).row(0, named=True)
    parts = slippage_table(records, ["size"], rng=np.random.default_rng(3))
    assert parts["trades"].sum() == 60
    assert float((parts["excess"] * parts["trades"]).sum()) / 60 == pytest.approx(whole["excess"])


def test_a_surcharge_is_found_and_drawn_to_the_prior():
    rng = np.random.default_rng(4)
    records = [record(place, delay=float(rng.normal(0.4, 1.0)), wider=0.3) for place in range(900)]
    learnt = learn_costs(records, PRIOR, now_ns=NOW, settings=LearningSettings(half_life_days=1e6))
    (cell,) = learnt.cells
    assert cell.trades == 900
    assert cell.found == pytest.approx(0.7, abs=0.1)
    assert abs(cell.found - 0.7) < 4.0 * cell.deviation
    assert cell.surcharge == pytest.approx(cell.found * 900 / 930, rel=1e-3)
    few = learn_costs(records[:3], PRIOR, now_ns=NOW, settings=LearningSettings(half_life_days=1e6))
    assert few.cells[0].surcharge < 0.15
    none = learn_costs([], PRIOR, now_ns=NOW)
    assert none.model == PRIOR
    assert none.cells == ()


def test_only_the_past_counts_and_the_old_fades():
    old = [record(place, wider=2.0) for place in range(50)]
    new = [record(24 * 38 + place, wider=0.5) for place in range(24)]
    future = [record(24 * 41 + place, wider=9.0) for place in range(50)]
    learnt = learn_costs(
        [*future, *new, *old], PRIOR, now_ns=NOW, settings=LearningSettings(half_life_days=2.0)
    )
    assert learnt.cells[0].trades == 74
    assert learnt.cells[0].found == pytest.approx(0.5, abs=0.05)


def test_one_bad_fill_is_no_rule():
    rng = np.random.default_rng(5)
    good = [record(place, wider=float(abs(rng.normal(0.5, 0.1)))) for place in range(60)]
    spoilt = [*good, record(61, delay=80.0)]
    first, second = (learn_costs(rows, PRIOR, now_ns=NOW).cells[0].surcharge for rows in (good, spoilt))
    assert second == pytest.approx(first, rel=0.05)


def test_the_impact_is_learnt_beyond_the_free_size():
    def trade(place, contracts):
        shape = 0.5 * (contracts - 10.0) ** 2 / (10.0 * contracts)
        return record(place, contracts=contracts, impact=2.5 * shape)

    records = [trade(place, float(12 + place % 40)) for place in range(400)]
    learnt = learn_costs(records, PRIOR, now_ns=NOW, settings=LearningSettings(half_life_days=1e6))
    assert learnt.impact_trades == 400
    assert learnt.model.impact_half_spreads == pytest.approx(2.5 - 1.5 * 30 / 430, rel=0.1)
    small = learn_costs([record(place) for place in range(50)], PRIOR, now_ns=NOW)
    assert small.impact_trades == 0
    assert small.model.impact_half_spreads == PRIOR.impact_half_spreads


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-50.0, 50.0), min_size=1, max_size=20))
def test_a_plan_never_counts_on_less_than_the_touch(delays):
    records = [record(place, delay=delay) for place, delay in enumerate(delays)]
    model = learn_costs(records, PRIOR, now_ns=NOW).model
    assert all(0.0 <= value <= 10.0 for value in model.surcharge.values())
    quote = Quote(bid=0.049, ask=0.051, mark=0.05, index=80_000.0)
    assert model.unit_cost(option(30), quote).buy >= PRIOR.unit_cost(option(30), quote).buy


def test_plans_see_the_surcharge_and_fills_do_not():
    quote = Quote(bid=0.049, ask=0.051, mark=0.05, index=80_000.0)
    dear = CostModel(fees=PRIOR.fees, surcharge={("deribit", OPTION): 2.0})
    plain, more = (model.unit_cost(option(30), quote) for model in (CostModel(fees=PRIOR.fees), dear))
    assert more.buy - plain.buy == pytest.approx(2.0 * 0.001 * 80_000.0)
    assert more.sell - plain.sell == pytest.approx(2.0 * 0.001 * 80_000.0)
    charged = [
        model.charge(option(30), Decimal(1), quote).total for model in (CostModel(fees=PRIOR.fees), dear)
    ]
    assert charged[0] == charged[1]
    future = Quote(bid=79_990.0, ask=80_010.0, mark=80_000.0, index=80_000.0)
    same = [m.unit_cost(perpetual(), future).buy for m in (CostModel(fees=PRIOR.fees), dear)]
    assert same[0] == same[1]
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="surcharges"):
            CostModel(fees=PRIOR.fees, surcharge={("deribit", OPTION): wrong})


def test_what_is_refused():
    with pytest.raises(DataError, match="half_spread"):
        record(half=0.0)
    with pytest.raises(DataError, match=r"trade\.price"):
        record(impact=float("nan"))
    with pytest.raises(DataError, match="between 0"):
        record(filled=1.5)
    for wrong in ({"half_life_days": 0.0}, {"prior_trades": -1.0}, {"most": float("inf")}):
        with pytest.raises(ConfigError):
            LearningSettings(**wrong)
