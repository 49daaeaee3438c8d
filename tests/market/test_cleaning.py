from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.market import CHAIN_SCHEMA, CleaningRules, DropReason, clean_chain


def put_in(chain: pl.DataFrame, row: int, **values: object) -> pl.DataFrame:
    at = pl.int_range(pl.len()) == row
    return chain.with_columns(
        pl.when(at).then(pl.lit(value, dtype=CHAIN_SCHEMA[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def counts(drops: pl.DataFrame) -> dict[tuple[str, str], int]:
    return {(reason, scope): count for reason, scope, count in drops.iter_rows()}


def test_a_good_chain_passes_unchanged(make_chain):
    cleaned = clean_chain(make_chain())
    assert cleaned.chain.equals(make_chain())
    assert cleaned.drops.is_empty()
    assert cleaned.dropped_rows == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"underlying": "DOGE"}, "unknown_underlying"),
        ({"underlying": None}, "unknown_underlying"),
        ({"strike": -1.0}, "bad_terms"),
        ({"strike": float("nan")}, "bad_terms"),
        ({"is_call": None}, "bad_terms"),
        ({"settlement": "shells"}, "bad_terms"),
        ({"venue": None}, "bad_terms"),
        ({"bid": 0.2, "ask": 0.15}, "crossed"),
        ({"bid": None, "ask": None}, "no_quote"),
    ],
)
def test_row_drops(make_chain, values, reason):
    cleaned = clean_chain(put_in(make_chain(), 3, **values))
    assert counts(cleaned.drops) == {(reason, "row"): 1}
    assert cleaned.chain.height == make_chain().height - 1


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "non_finite"),
        (float("inf"), "non_finite"),
        (float("-inf"), "non_finite"),
        (-1.0, "negative"),
        (0.0, "zero"),
        (1.5, "outside_bounds"),
    ],
)
def test_one_bad_side_leaves_the_other(make_chain, side, value, reason):
    cleaned = clean_chain(put_in(make_chain(), 3, **{side: value}))
    assert counts(cleaned.drops) == {(reason, side): 1}
    assert cleaned.chain.height == make_chain().height
    row = cleaned.chain.row(3, named=True)
    assert row[side] is None
    assert row[f"{side}_size"] is None
    assert row["ask" if side == "bid" else "bid"] is not None


def test_no_side_left_counts_both_the_sides_and_the_row(make_chain):
    cleaned = clean_chain(put_in(make_chain(), 3, bid=-1.0, ask=float("nan")))
    assert counts(cleaned.drops) == {
        ("negative", "bid"): 1,
        ("no_quote", "row"): 1,
        ("non_finite", "ask"): 1,
    }


def test_size_of_zero_is_no_quote(make_chain):
    cleaned = clean_chain(put_in(make_chain(), 3, bid_size=0.0))
    assert counts(cleaned.drops) == {("no_size", "bid"): 1}


def test_size_of_zero_without_a_price_is_not_counted(make_chain):
    cleaned = clean_chain(put_in(make_chain(), 3, bid=None, bid_size=0.0))
    assert cleaned.drops.is_empty()
    assert cleaned.chain["bid_size"][3] is None


@pytest.mark.parametrize(("size", "reason"), [(float("nan"), "non_finite"), (-3.0, "negative")])
def test_impossible_size_is_unknown_and_the_price_stays(make_chain, size, reason):
    cleaned = clean_chain(put_in(make_chain(), 3, ask_size=size))
    assert counts(cleaned.drops) == {(reason, "ask_size"): 1}
    assert cleaned.chain["ask"][3] is not None
    assert cleaned.chain["ask_size"][3] is None


def test_unknown_sizes_are_fine(make_chain):
    chain = make_chain().with_columns(bid_size=pl.lit(None, pl.Float64), ask_size=pl.lit(None, pl.Float64))
    assert clean_chain(chain).drops.is_empty()


def test_ask_below_intrinsic_is_removed_and_a_little_below_is_not(make_chain):
    # The 70,000 call (row 1) has an intrinsic value of 1 - 70/90 coin.
    intrinsic = 1 - 70 / 90
    assert counts(clean_chain(put_in(make_chain(), 1, ask=intrinsic - 0.01, bid=None)).drops) == {
        ("no_quote", "row"): 1,
        ("outside_bounds", "ask"): 1,
    }
    near = clean_chain(put_in(make_chain(), 1, ask=intrinsic - 0.004, bid=0.1))
    assert near.drops.is_empty()


def test_put_in_coin_may_cost_more_than_one_coin_but_not_more_than_strike_over_forward(make_chain):
    chain = make_chain(strikes=[200e3])
    cleaned = clean_chain(put_in(chain, 0, ask=2.3))
    assert counts(cleaned.drops) == {("outside_bounds", "ask"): 1}
    assert clean_chain(chain).drops.is_empty()


def test_usd_bounds(make_chain):
    chain = make_chain(settlement="usd", venue="dune")
    assert clean_chain(chain).drops.is_empty()
    assert counts(clean_chain(put_in(chain, 7, ask=95_000.0)).drops) == {("outside_bounds", "ask"): 1}


def test_ask_at_the_ceiling_volatility(make_chain):
    cleaned = clean_chain(put_in(make_chain(), 6, ask=0.3), CleaningRules(ceiling_vol=1.0))
    assert counts(cleaned.drops) == {("at_ceiling", "ask"): 1}


@pytest.mark.parametrize("forward", [None, float("nan"), -5.0, 0.0])
def test_without_a_usable_forward_the_row_stays(make_chain, forward):
    cleaned = clean_chain(put_in(make_chain(), 3, forward=forward))
    assert cleaned.chain.height == make_chain().height
    assert cleaned.chain["forward"][3] is None


def test_zero_mark_is_known_and_negative_mark_is_not(make_chain):
    assert clean_chain(put_in(make_chain(), 3, mark=0.0)).drops.is_empty()
    assert counts(clean_chain(put_in(make_chain(), 3, mark=-1.0)).drops) == {("negative", "mark"): 1}
    assert counts(clean_chain(put_in(make_chain(), 3, mark_iv=-1.0)).drops) == {("negative", "mark_iv"): 1}


def test_expired_rows(make_chain):
    chain = make_chain()
    at_expiry = put_in(chain, 3, expiry=chain["ts"][0])
    assert counts(clean_chain(at_expiry).drops) == {("expired", "row"): 1}


def test_duplicates_keep_the_last_quoted(make_chain):
    chain = make_chain()
    later = put_in(chain, 3, bid=0.001, ts_event=chain["ts"][0] + timedelta(seconds=1))[3]
    unknown = chain[3].with_columns(bid=pl.lit(0.002), ts_event=pl.lit(None, chain.schema["ts_event"]))
    cleaned = clean_chain(pl.concat([later, chain, unknown]))
    assert counts(cleaned.drops) == {("duplicate", "row"): 2}
    name = chain["instrument_name"][3]
    assert cleaned.chain.filter(pl.col("instrument_name") == name)["bid"].to_list() == [0.001]


def test_same_name_on_two_venues_or_at_two_times_is_no_duplicate(make_chain):
    other_time = make_chain(ts=make_chain()["ts"][0] + timedelta(minutes=1))
    assert clean_chain(pl.concat([make_chain(), make_chain(venue="aurora"), other_time])).drops.is_empty()


def test_stale_rows_by_age(make_chain):
    chain = make_chain()
    old = put_in(chain, 3, ts_event=chain["ts"][0] - timedelta(seconds=601))
    assert counts(clean_chain(old).drops) == {("stale", "row"): 1}
    assert clean_chain(old, CleaningRules(max_age_s=None)).drops.is_empty()
    assert clean_chain(put_in(chain, 3, ts_event=None)).drops.is_empty()


def test_missing_column(make_chain):
    with pytest.raises(SchemaError, match=r"missing \['bid'\]"):
        clean_chain(make_chain().drop("bid"))


@pytest.mark.parametrize("wrong", [{"max_age_s": 0.0}, {"ceiling_vol": 0.0}, {"intrinsic_slack": -0.1}])
def test_wrong_rules(wrong):
    with pytest.raises(ConfigError):
        CleaningRules(**wrong)


def test_empty_table(make_chain):
    assert clean_chain(make_chain().clear()).chain.is_empty()


wild = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0.0, 0.5))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(wild, wild, wild, wild), min_size=14, max_size=14))
def test_whatever_comes_in_clean_rows_come_out_and_every_row_is_counted(make_chain, values):
    names = ["bid", "ask", "forward", "mark"]
    chain = make_chain().with_columns(
        pl.Series(name, column, dtype=pl.Float64)
        for name, column in zip(names, zip(*values, strict=True), strict=True)
    )
    cleaned = clean_chain(chain)
    assert chain.height - cleaned.chain.height == cleaned.dropped_rows
    assert set(cleaned.drops["reason"]) <= {reason.value for reason in DropReason}
    for side in ("bid", "ask"):
        known = cleaned.chain[side].drop_nulls()
        assert (known.is_finite() & (known > 0)).all()
    both = cleaned.chain.drop_nulls(["bid", "ask"])
    assert (both["bid"] <= both["ask"]).all()
    assert clean_chain(cleaned.chain).chain.equals(cleaned.chain)


@pytest.mark.recorded
def test_recorded_chain_loses_almost_nothing(recorded):
    from ivhedge.market import read_chains

    chains = read_chains(recorded / "deribit_chains" / "BTC", start="2026-01-05", end="2026-01-20")
    cleaned = clean_chain(chains)
    found = counts(cleaned.drops)
    # Rows that the venue quoted on neither side, and asks without information: nothing else is wrong.
    assert set(found) == {("no_quote", "row"), ("at_ceiling", "ask"), ("outside_bounds", "ask")}
    assert cleaned.dropped_rows / chains.height < 0.02
