from dataclasses import replace

import polars as pl
import pytest

from ivhedge.engine.intake import usable_quotes


def with_first(table, **values):
    first = pl.int_range(pl.len()) == 0
    return table.with_columns(
        pl.when(first).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_a_good_snapshot_passes_unchanged(looks):
    found, count = usable_quotes(looks[0])
    assert count == 0
    assert found.chain.equals(looks[0].chain)
    assert found.futures.equals(looks[0].futures)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01])
@pytest.mark.parametrize("column", ["bid", "ask", "mark", "forward"])
def test_what_cannot_be_a_price_becomes_null_and_is_counted(looks, column, value):
    found, count = usable_quotes(replace(looks[0], chain=with_first(looks[0].chain, **{column: value})))
    assert count == 1
    assert found.chain[column][0] is None
    assert found.chain.drop(column).equals(looks[0].chain.drop(column))


def test_a_price_of_zero_is_no_price_and_nothing_to_tell(looks):
    found, count = usable_quotes(replace(looks[0], chain=with_first(looks[0].chain, mark=0.0)))
    assert (found.chain["mark"][0], count) == (None, 0)


def test_a_negative_size_is_nothing_displayed_and_an_unknown_one_stays_unknown(looks):
    chain = with_first(looks[0].chain, bid_size=-3.0, ask_size=float("nan"))
    found, count = usable_quotes(replace(looks[0], chain=chain))
    assert (found.chain["bid_size"][0], found.chain["ask_size"][0], count) == (0.0, None, 1)


def test_an_instrument_that_comes_twice_is_kept_once(looks):
    look = looks[0]
    twice = replace(
        look, chain=pl.concat([look.chain, look.chain]), futures=pl.concat([look.futures, look.futures])
    )
    found, count = usable_quotes(twice)
    assert count == look.chain.height + look.futures.height
    assert found.chain.equals(look.chain)
    assert found.futures.equals(look.futures)
