import polars as pl
import pytest

from ivhedge.core.errors import SchemaError
from ivhedge.market import CHAIN_SCHEMA, conform


def test_conform_orders_and_casts(make_chain):
    shuffled = make_chain().select(reversed(list(CHAIN_SCHEMA))).with_columns(pl.col("strike").cast(pl.Int64))
    assert conform(shuffled, CHAIN_SCHEMA, source="test").equals(make_chain())


def test_conform_names_the_missing_column_and_the_source(make_chain):
    with pytest.raises(SchemaError, match=r"mine: .*missing \['ask'\]"):
        conform(make_chain().drop("ask"), CHAIN_SCHEMA, source="mine")


def test_conform_refuses_text_for_a_number(make_chain):
    with pytest.raises(SchemaError, match="cannot be cast"):
        conform(make_chain().with_columns(bid=pl.lit("a lot")), CHAIN_SCHEMA, source="mine")
