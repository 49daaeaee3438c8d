"""A side without the other and without a mark is no price to plan with."""

from dataclasses import replace
from decimal import Decimal

import numpy as np

from ivhedge.core.instruments import InstrumentKind
from ivhedge.hedge import Band, HedgeLimits
from tests.hedge._stub import book_of, option
from tests.hedge.test_plan import MARKET, plan

SHORT = book_of((option(30, "90000"), "-20"))
FUTURES = HedgeLimits(delta=Band.around(0.05), allowed_kinds=frozenset({InstrumentKind.PERPETUAL}))


def alone(ask: float, mark: float):
    is_perpetual = np.array([i.kind is InstrumentKind.PERPETUAL for i in MARKET.instruments])
    return replace(
        MARKET, bid=np.where(is_perpetual, np.nan, MARKET.bid), ask=np.where(is_perpetual, ask, MARKET.ask),
        mark=np.where(is_perpetual, mark, MARKET.mark),
    )  # fmt: skip


def test_an_ask_alone_is_not_bought_at_any_price():
    assert plan(SHORT, FUTURES, market=alone(120_000.0, np.nan)).legs == ()


def test_an_ask_beside_a_mark_costs_its_distance_and_is_bought():
    (leg,) = plan(SHORT, FUTURES, market=alone(80_010.0, 80_000.0)).legs
    assert leg.quantity > Decimal(0)
