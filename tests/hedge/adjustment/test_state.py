"""A book that walks around the edge of its band is adjusted once per crossing, not at each look."""

from decimal import Decimal

import numpy as np

from ivhedge.hedge.adjustment import AdjustmentSettings, AdjustmentState

from .._stub import book_of, perpetual
from ._case import LIMITS, adjust, filled, later

EDGE = 2400  # contracts at the edge of the delta band


def walk(settings, steps=30):
    """Adjustments and crossings while fills push the delta to and fro, and slowly up."""
    rng = np.random.default_rng(3)
    book, state, trades, crossings, was = book_of(), AdjustmentState(), 0, 0, False
    offset = EDGE
    for i in range(steps):
        move = int(rng.normal(40.0, 60.0)) + offset
        offset = 0
        held = book.positions[0].quantity if book.positions else Decimal(0)
        book = book_of((perpetual(), str(held + move)))
        answer = adjust(book, LIMITS, state, settings=settings, compare=False, **later(30 * i))
        out = any(cause.gauge.name == "delta" for cause in answer.causes)
        crossings += out and not was
        was = out and not answer.legs
        trades += bool(answer.legs)
        state = answer.state
        book = filled(book, answer)
    return trades, crossings


def test_an_inner_edge_and_a_gap_bound_the_trades():
    every, _ = walk(AdjustmentSettings(return_share=0.999, min_gap_s=0.0))
    calm, crossings = walk(AdjustmentSettings())
    assert every >= 5
    assert 1 <= calm <= crossings
    assert calm * 3 <= every


def test_the_answer_is_a_pure_function():
    book = book_of((perpetual(), "4000"))
    assert adjust(book).to_dict() == adjust(book).to_dict()
