"""Quotes of the flexible surface with every fourth strike hidden: what several benchmarks share."""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.surface.flexible import FlexibleQuotes


def without(quotes: FlexibleQuotes, dropped: FloatArray) -> FlexibleQuotes:
    """The quotes that are not dropped."""
    keep = ~dropped
    counts = [int(keep[quotes.rows(e)].sum()) for e in range(quotes.taus.size)]
    return FlexibleQuotes(
        log_moneyness=quotes.log_moneyness[keep],
        bid_vol=quotes.bid_vol[keep],
        ask_vol=quotes.ask_vol[keep],
        mid_vol=quotes.mid_vol[keep],
        offsets=np.concatenate(([0], np.cumsum(counts))),
        expiries=quotes.expiries,
        taus=quotes.taus,
        source=quotes.source[keep],
        reliance=quotes.reliance[keep],
    )


def every_fourth(quotes: FlexibleQuotes) -> FloatArray:
    """Every fourth quote with a mid, never the outermost ones."""
    out = np.zeros(quotes.log_moneyness.size, dtype=np.bool_)
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        inner = np.flatnonzero(np.isfinite(quotes.mid_vol[rows]))[1:-1] + rows.start
        out[inner[2::4]] = True
    return out
