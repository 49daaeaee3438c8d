"""What is shown, and what could not be done, decides what is done next."""

from dataclasses import replace

import numpy as np

from ivhedge.hedge import Band
from ivhedge.hedge.adjustment import AdjustmentSettings, GrossLimits

from .._stub import book_of, perpetual
from ._case import HEDGED, MARKET, WIDE, adjust, later, without_quotes

GROSS = AdjustmentSettings(gross=GrossLimits(option_units=20.0))


def test_what_nothing_could_be_done_about_is_tried_as_soon_as_it_can_be():
    blind = adjust(HEDGED, WIDE, market=without_quotes(), settings=GROSS)
    assert blind.steps == ()
    seeing = adjust(HEDGED, WIDE, state=blind.state, settings=GROSS, **later(10))
    assert seeing.steps


def test_what_has_been_acted_on_waits():
    first = adjust(HEDGED, WIDE, settings=GROSS)
    assert first.steps
    assert adjust(HEDGED, WIDE, state=first.state, settings=GROSS, **later(10)).steps == ()


def test_a_shown_size_that_is_no_whole_lot_is_traded_in_lots():
    size = np.full(len(MARKET.instruments), 1e5)
    size[0] = 1000.6
    answer = adjust(
        book_of((perpetual(), "50000")),
        replace(WIDE, delta=Band.around(50.0)),
        market=replace(MARKET, bid_size=size, ask_size=size),
        settings=AdjustmentSettings(gross=GrossLimits(notional_usd=495_000.0)),
    )
    sold = {leg.instrument.key: -leg.quantity for leg in answer.legs}
    assert sold
    assert sold.get(MARKET.instruments[0].key, 0) <= 1000
