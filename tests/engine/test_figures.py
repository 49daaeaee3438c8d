import statistics

import polars as pl
import pytest

from ivhedge.engine.figures import final_exposures, policy_figures, std_reduction
from ivhedge.engine.result import IDENTITY_SCHEMA

from ._tables import attribution, equity, policy

INDEX = [100.0, 110.0, 90.0, 100.0]
BOOK = equity([2.0, 2.5, 2.0, 2.1], INDEX)
STEPS = [55.0, -45.0, 10.0]
EXPLAINED = attribution(
    [{"delta": 0.6, "fees": -0.1}, {"gamma": -0.4, "slippage": -0.1}, {"theta": 0.2, "residual": -0.1}]
)


def test_profit_and_its_spread_come_from_equity():
    found = policy_figures(policy(BOOK), "coin")
    assert found.pnl == {"BTC": pytest.approx(0.1)}
    assert found.pnl_usd == pytest.approx(sum(STEPS))
    assert found.pnl_std_usd == pytest.approx(statistics.stdev(STEPS))
    in_usd = policy_figures(policy(BOOK), "usd")
    assert in_usd.pnl_usd == pytest.approx(2.1 * 100.0 - 2.0 * 100.0)


def test_drawdown_is_negative_and_measured_from_the_highest_point():
    assert policy_figures(policy(BOOK), "coin").max_drawdown_usd == pytest.approx(-45.0)
    rising = equity([1.0, 2.0, 3.0, 4.0], INDEX)
    assert policy_figures(policy(rising), "coin").max_drawdown_usd == 0.0
    falling = equity([4.0, 3.0, 2.0, 1.0], [1.0] * 4)
    assert policy_figures(policy(falling), "coin").max_drawdown_usd == -3.0


def test_cvar_is_the_mean_of_the_worst_five_per_cent_of_steps():
    # 40 steps: the worst two are -9 and -7.
    steps = [1.0] * 37 + [-7.0, -9.0, -3.0]
    values = [sum(steps[:n]) for n in range(len(steps) + 1)]
    found = policy_figures(policy(equity(values, [1.0] * len(values))), "coin")
    assert found.cvar95_usd == pytest.approx(-8.0)
    # Of fewer than twenty steps it is the worst one.
    assert policy_figures(policy(BOOK), "coin").cvar95_usd == pytest.approx(-45.0)


def test_costs_are_positive_when_paid():
    found = policy_figures(policy(BOOK, EXPLAINED), "coin")
    assert found.fees_usd == pytest.approx(0.1 * 110.0)
    assert found.slippage_usd == pytest.approx(0.1 * 90.0)
    assert found.cost_usd == pytest.approx(20.0)
    assert found.costs == {"BTC": pytest.approx(0.2)}
    assert found.funding_usd == 0.0


def test_residual_share_is_of_the_sum_of_absolute_terms():
    gross = 0.6 * 110 + 0.1 * 110 + 0.4 * 90 + 0.1 * 90 + 0.2 * 100 + 0.1 * 100
    found = policy_figures(policy(BOOK, EXPLAINED), "coin")
    assert found.residual_share_of_gross == pytest.approx(0.1 * 100 / gross)


def test_residuals_of_opposite_sign_do_not_cancel():
    swinging = attribution([{"residual": 1.0}, {"residual": -1.0}, {"delta": 2.0}])
    flat = equity([1.0] * 4, [1.0] * 4)
    assert policy_figures(policy(flat, swinging), "coin").residual_share_of_gross == pytest.approx(0.5)


def test_what_the_summary_states_wins():
    stated = {"pnl_usd": 7.0, "pnl_BTC": 0.5, "n_trades": 9, "turnover_usd": 3.0, "cvar95_usd": -1.0}
    found = policy_figures(policy(BOOK, EXPLAINED, summary=stated), "coin")
    assert (found.pnl_usd, found.pnl, found.n_trades, found.turnover_usd) == (7.0, {"BTC": 0.5}, 9, 3.0)
    assert found.cvar95_usd == -1.0


def test_a_summary_made_of_figures_gives_the_same_figures():
    made = policy_figures(policy(BOOK, EXPLAINED), "coin")
    again = policy_figures(policy(BOOK, EXPLAINED, summary=made.to_summary()), "coin")
    assert again == made


def test_nothing_is_known_of_an_empty_policy():
    found = policy_figures(policy(), "coin")
    assert found.pnl_usd is found.pnl_std_usd is found.max_drawdown_usd is found.cvar95_usd is None
    assert found.cost_usd is found.residual_share_of_gross is found.identity_exact is None
    assert found.n_trades == 0


def identity(*differences):
    rows = [("BTC", "1", "1", text) for text in differences]
    return pl.DataFrame(rows, schema=dict(IDENTITY_SCHEMA), orient="row")


@pytest.mark.parametrize(
    ("summary", "differences", "expected"),
    [
        ({}, (), None),
        ({"identity_exact": True}, (), True),
        ({"identity_exact": False}, (), False),
        ({}, ("0", "0.00"), True),
        ({}, ("0", "0.00000001"), False),
        ({"identity_exact": True}, ("0.00000001",), False),
        ({"identity_exact": True}, (None,), False),
    ],
)
def test_a_difference_in_the_table_speaks_louder_than_the_summary(summary, differences, expected):
    made = policy(summary=summary, identity=identity(*differences))
    assert policy_figures(made, "coin").identity_exact is expected


def test_std_reduction_is_relative_to_the_baseline():
    wide = policy_figures(policy(summary={"pnl_std_usd": 200.0}), "coin")
    narrow = policy_figures(policy(summary={"pnl_std_usd": 50.0}), "coin")
    unknown = policy_figures(policy(), "coin")
    still = policy_figures(policy(summary={"pnl_std_usd": 0.0}), "coin")
    assert std_reduction(narrow, wide) == 0.75
    assert std_reduction(wide, narrow) == -3.0
    assert std_reduction(unknown, wide) is std_reduction(wide, unknown) is std_reduction(wide, still) is None


def test_final_exposures_are_of_the_last_time_of_each_underlying():
    eth = equity([1.0, 1.0], INDEX[:2], underlying="ETH", currency="ETH", delta=10.0)
    usdc = equity([1.0] * 4, INDEX, currency="USDC", delta=100.0)
    last = final_exposures(policy(pl.concat([BOOK, usdc, eth])))
    assert dict(last.select("underlying", "delta_coin").iter_rows()) == {"BTC": 106.0, "ETH": 11.0}
