from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.engine import series

from ._tables import at, attribution, equity, policy

INDEX = [100.0, 110.0, 90.0]
BTC = equity([2.0, 2.5, 2.25], INDEX)


def test_in_coin_a_step_earns_the_change_of_coin_at_the_index_of_its_end():
    steps = series.step_pnl(policy(BTC), "coin")
    assert steps["ts"].to_list() == [at(1), at(2)]
    assert steps["pnl_usd"].to_list() == [0.5 * 110.0, -0.25 * 90.0]


def test_in_coin_a_move_of_the_index_on_idle_collateral_is_no_profit():
    idle = policy(equity([2.0, 2.0, 2.0], INDEX))
    assert series.step_pnl(idle, "coin")["pnl_usd"].to_list() == [0.0, 0.0]
    assert series.step_pnl(idle, "usd")["pnl_usd"].to_list() == [20.0, -40.0]


def test_dollars_are_not_multiplied_by_the_index():
    assert series.step_pnl(policy(equity([5.0, 7.0, 6.0], INDEX, currency="USDC")), "coin")[
        "pnl_usd"
    ].to_list() == [2.0, -1.0]


def test_steps_of_several_books_are_added_up_time_by_time():
    eth = equity([10.0, 11.0, 11.0], [10.0, 10.0, 10.0], underlying="ETH", currency="ETH")
    both = policy(pl.concat([eth, BTC]))
    assert series.step_pnl(both, "coin")["pnl_usd"].to_list() == [55.0 + 10.0, -22.5]
    assert series.currencies((both,)) == ["BTC", "ETH"]
    by_currency = series.pnl_by_currency(both)
    assert by_currency.filter(pl.col("currency") == "BTC")["pnl"].to_list() == [0.0, 0.5, 0.25]
    assert by_currency.filter(pl.col("currency") == "ETH")["pnl"].to_list() == [0.0, 1.0, 1.0]


def test_the_cumulative_path_starts_at_zero():
    path = series.pnl_usd(policy(BTC), "coin")
    assert path["ts"].to_list() == [at(0), at(1), at(2)]
    assert path["pnl_usd"].to_list() == [0.0, 55.0, 32.5]


def test_drawdown_is_the_fall_below_the_highest_point_so_far():
    path = pl.DataFrame({"ts": [at(n) for n in range(6)], "pnl_usd": [0.0, 5.0, 3.0, 6.0, -1.0, 2.0]})
    assert series.drawdown(path)["drawdown"].to_list() == [0.0, 0.0, -2.0, 0.0, -7.0, -4.0]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_drawdown_is_never_positive_and_the_path_adds_up(values):
    made = policy(equity(values, [1.0] * len(values)))
    path = series.pnl_usd(made, "coin")
    assert (series.drawdown(path)["drawdown"] <= 0.0).all()
    assert path["pnl_usd"][-1] == pytest.approx(values[-1] - values[0], abs=1e-6)


def test_attribution_is_turned_into_usd_at_the_index_of_the_steps_end():
    made = policy(BTC, attribution([{"delta": 0.4, "fees": -0.1}, {"gamma": -0.2}]))
    steps = series.attribution_usd(made)
    assert steps["ts"].to_list() == [at(1), at(2)]
    assert steps["delta"].to_list() == [44.0, 0.0]
    assert steps["fees"].to_list() == [-11.0, 0.0]
    assert steps["gamma"].to_list() == [0.0, -18.0]
    assert steps["total"].to_list() == pytest.approx([33.0, -18.0])


def test_exposures_are_summed_over_settlement_currencies_of_one_underlying():
    usdc = equity([1.0, 1.0, 1.0], INDEX, currency="USDC", delta=10.0)
    eth = equity([1.0, 1.0, 1.0], INDEX, underlying="ETH", currency="ETH", delta=500.0)
    shown = series.exposure_series(policy(pl.concat([BTC, usdc, eth])), "BTC", "delta_coin")
    assert shown["value"].to_list() == [10.0, 12.0, 14.0]


def test_the_step_is_the_median_gap():
    late = equity([1.0] * 4, [1.0] * 4).with_columns(
        ts=pl.Series([at(0), at(1), at(2), at(2) + timedelta(days=9)]).cast(pl.Datetime("ns", "UTC"))
    )
    assert series.step_seconds(policy(late)) == 6 * 3600.0
    assert series.step_seconds(policy(BTC.head(1))) is None


def test_a_policy_without_rows_has_empty_series():
    nothing = policy()
    assert series.currencies((nothing,)) == []
    for numeraire in ("coin", "usd"):
        assert series.pnl_usd(nothing, numeraire).is_empty()
    assert series.attribution_usd(nothing).is_empty()
    assert series.pnl_by_currency(nothing).is_empty()
    assert series.step_seconds(nothing) is None


def test_a_currency_that_comes_in_later_came_in_from_nothing():
    late = equity([1.0, -7.0, -3.0], [100.0, 100.0, 100.0], currency="USD").filter(pl.col("ts") > at(0))
    both = pl.concat([equity([2.0, 2.0, 2.0], [100.0] * 3), late])
    for numeraire in ("coin", "usd"):
        assert series.step_pnl(policy(both), numeraire)["pnl_usd"].to_list() == [-7.0, 4.0]
    summed = series.pnl_by_currency(policy(both)).filter(pl.col("currency") == "USD")
    assert summed["pnl"].to_list() == [-7.0, -3.0]
