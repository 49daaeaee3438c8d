"""Which quotes are fitted, and with which weight."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.market import QuoteVols, clean_chain, estimate_forwards, quote_vols
from ivhedge.surface import EssviSurface, SelectionRules, select_quotes

Maker = Callable[..., pl.DataFrame]


def vols_of(chain: pl.DataFrame) -> QuoteVols:
    cleaned = clean_chain(chain).chain
    return quote_vols(cleaned, estimate_forwards(cleaned))


def information(quotes: QuoteVols, venue: str, expiry: int) -> float:
    selection = select_quotes(quotes, SelectionRules())
    mine = (np.array(quotes.venue)[selection.rows] == venue) & (quotes.expiry_ns[selection.rows] == expiry)
    return float(np.sum(selection.packed.weight[mine] ** 2))


def test_only_two_sided_otm_quotes_are_fitted(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    # One side taken from every third row.
    chain = chain.with_row_index("row").with_columns(
        pl.when(pl.col("row") % 3 > 0).then(pl.col("bid")).alias("bid")
    )
    quotes = vols_of(chain.drop("row"))
    selection = select_quotes(quotes, SelectionRules())
    assert quotes.is_two_sided[selection.rows].all()
    assert quotes.is_otm[selection.rows].all()
    assert not quotes.at_one_tick[selection.rows].any()
    assert selection.left_out["one_sided"] > 0
    assert selection.left_out["in_the_money"] > 0
    assert selection.rows.size + sum(selection.left_out.values()) == len(quotes)


def test_one_sided_quotes_bound_the_fit(chain_of: Maker, truth_surface: EssviSurface) -> None:
    row = pl.col("row") % 3
    chain = chain_of(truth_surface).with_row_index("row")
    chain = chain.with_columns(
        pl.when(row != 0).then(pl.col("bid")).alias("bid"), pl.when(row != 1).then(pl.col("ask")).alias("ask")
    )
    quotes = vols_of(chain.drop("row"))
    selection = select_quotes(quotes, SelectionRules())
    bounds, rows = selection.packed.bounds, selection.bound_rows
    assert bounds is not None
    assert rows.size == bounds.slices.size > 0
    assert not np.isin(rows, selection.rows).any()
    assert quotes.is_otm[rows].all()
    np.testing.assert_array_equal(selection.expiries[bounds.slices], quotes.expiry_ns[rows])
    np.testing.assert_array_equal(bounds.lower > 0.0, quotes.has_bid[rows])
    np.testing.assert_array_equal(np.isfinite(bounds.upper), quotes.has_ask[rows])
    assert (bounds.lower > 0.0).any()
    assert np.isfinite(bounds.upper).any()
    assert select_quotes(quotes, SelectionRules(use_bounds=False)).packed.bounds is None


def test_expiries_without_values_say_what_they_had(chain_of: Maker, truth_surface: EssviSurface) -> None:
    expiry = pl.col("expiry").dt.epoch("ns")
    only_asks, few = (expiry == int(truth_surface.expiries[i]) for i in (3, 5))
    chain = chain_of(truth_surface).with_columns(pl.when(~only_asks).then(pl.col("bid")).alias("bid"))
    chain = pl.concat([chain.filter(~few), chain.filter(few)[20:28]])
    selection = select_quotes(vols_of(chain), SelectionRules())
    words = list(selection.expiry_notes.values())
    assert len(words) == 2
    assert "0 at most and 25 bounds" in words[0] or "0 at most and 26 bounds" in words[0]
    assert words[1].startswith("low confidence: 5 quotes")


def test_one_tick_bids_are_bounds_not_values(chain_of: Maker, truth_surface: EssviSurface) -> None:
    # The lowest price on the grid of the venue; a known venue is needed for its ladder.
    chain = chain_of(truth_surface, venue="deribit").with_columns(
        pl.when(pl.col("bid") < 0.001).then(0.0001).otherwise(pl.col("bid")).alias("bid")
    )
    quotes = vols_of(chain)
    selection = select_quotes(quotes, SelectionRules())
    assert selection.left_out["one_tick"] > 0
    assert quotes.at_one_tick[selection.bound_rows].sum() == selection.left_out["one_tick"]


@pytest.mark.parametrize("n_strikes", [15, 29, 150])
def test_wide_venue_never_outweighs_the_tight_one(
    chain_of: Maker, truth_surface: EssviSurface, n_strikes: int
) -> None:
    # Venues without a tick ladder: the spread alone makes the difference.
    tight = chain_of(truth_surface, venue="tight", half_spread=0.005, n_strikes=15)
    wide = chain_of(truth_surface, venue="wide", half_spread=0.006, n_strikes=n_strikes)
    quotes = vols_of(pl.concat([tight, wide]))
    for expiry in truth_surface.expiries.tolist():
        assert information(quotes, "wide", expiry) <= 1.0001 * information(quotes, "tight", expiry)


def test_two_tight_quotes_do_not_silence_a_whole_venue(chain_of: Maker, truth_surface: EssviSurface) -> None:
    tight = chain_of(truth_surface, venue="tight", half_spread=0.002, n_strikes=3)
    wide = chain_of(truth_surface, venue="wide", half_spread=0.006, n_strikes=41)
    alone, joined = vols_of(wide), vols_of(pl.concat([tight, wide]))
    expiry = int(truth_surface.expiries[4])
    # Eight of its own quotes' worth at least, so that the wings still have someone to say where they are.
    per_quote = information(alone, "wide", expiry) / 41
    assert information(joined, "wide", expiry) > 5.0 * per_quote


def test_stale_venue_counts_for_little(chain_of: Maker, truth_surface: EssviSurface) -> None:
    fresh = chain_of(truth_surface, venue="aurora", age_s=1.0, half_spread=0.01)
    stale = chain_of(truth_surface, venue="borealis", age_s=300.0, half_spread=0.005)
    quotes = vols_of(pl.concat([fresh, stale]))
    expiry = int(truth_surface.expiries[4])
    # Five half-lives against a spread half as wide: 4 / 32.
    assert information(quotes, "borealis", expiry) < 0.2 * information(quotes, "aurora", expiry)


def test_single_quote_weight_is_capped(chain_of: Maker, truth_surface: EssviSurface) -> None:
    quotes = vols_of(chain_of(truth_surface))
    weight = quotes.weight.copy()
    weight[quotes.is_otm.argmax()] *= 1e6
    selection = select_quotes(replace(quotes, weight=weight), SelectionRules(max_weight_ratio=4.0))
    for s in range(selection.expiries.size):
        part = selection.packed.weight[selection.packed.offsets[s] : selection.packed.offsets[s + 1]]
        assert part.max() <= 4.0 * np.median(part) * 1.01


def test_thin_and_short_expiries_are_named(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface)
    thin = pl.lit(int(truth_surface.expiries[3])) == pl.col("expiry").dt.epoch("ns")
    few = chain.filter(thin).head(2)
    quotes = vols_of(pl.concat([chain.filter(~thin), few]))
    selection = select_quotes(quotes, SelectionRules(min_hours=25.0))
    assert selection.expiries.size == truth_surface.expiries.size - 2
    assert len(selection.thin_expiries) == 2
    assert selection.left_out["too_short"] > 0


def test_nothing_usable_says_why(chain_of: Maker, truth_surface: EssviSurface) -> None:
    chain = chain_of(truth_surface).with_columns(bid=pl.lit(None, dtype=pl.Float64()))
    with pytest.raises(CalibrationError, match="500 one_sided"):
        select_quotes(vols_of(chain), SelectionRules())


@pytest.mark.parametrize(
    "changes", [{"min_hours": -1.0}, {"min_quotes": 0}, {"max_weight_ratio": 0.5}, {"bound_half_spread": 0.0}]
)
def test_wrong_rules_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        SelectionRules(**changes)  # type: ignore[arg-type]
