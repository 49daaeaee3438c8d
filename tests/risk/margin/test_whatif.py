from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.margin import (
    Account,
    Collateral,
    DistanceStatus,
    MarginLimits,
    MarginPositions,
    Stress,
    check_margin,
    evaluate,
    liquidation_distance,
    load_margin_profile,
    prepare_margin,
    stressed_margin,
    what_if,
)

from ._books import DAY, PROFILES, model_of, universe

STRESSES = (Stress(name="crash", spot=-0.3, vol=0.6), Stress(name="rally", spot=0.25, vol=0.2))


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_plan_is_the_book_after_it(name):
    model = model_of(name)
    n = model.column.size
    plans = np.random.default_rng(3).normal(size=(5, n))
    account = Account(cash=50.0 if PROFILES[name] else 5e6)
    result = what_if(model, plans, account)
    p = model.positions
    for i, plan in enumerate(plans):
        moved = prepare_margin(replace(p, size=p.size + plan), model.profile, on=DAY)
        premium = float((plan * np.where(p.is_option, p.mark, 0.0)).sum())
        alone = evaluate(moved, None, replace(account, cash=account.cash - premium))
        assert result.after.initial[i] == pytest.approx(alone.initial[0], rel=1e-9)
        assert result.after.maintenance[i] == pytest.approx(alone.maintenance[0], rel=1e-9)
        assert result.after.equity[i] == pytest.approx(alone.equity[0], rel=1e-9)
    change = result.after.initial - result.before.initial
    np.testing.assert_allclose(result.initial_change, change)


def test_trading_at_the_mark_keeps_equity_and_a_worse_price_costs_it():
    for name in ("derive_pm2", "deribit_pm_btc"):
        model = model_of(name)
        p = model.positions
        buy = np.ones((1, model.column.size))
        at_mark = what_if(model, buy)
        assert at_mark.after.equity == pytest.approx(at_mark.before.equity, rel=1e-9)
        worse = what_if(model, buy, prices=p.mark * 1.01, fees=0.5)
        future = ~p.is_option
        edge = np.where(p.is_inverse, 1 - 1 / 1.01, p.mark * 0.01)
        lost = (p.mark * 0.01)[p.is_option].sum() + edge[future].sum() + 0.5
        assert worse.after.equity == pytest.approx(worse.before.equity - lost, rel=1e-9)
        with pytest.raises(DataError, match="prices"):
            what_if(model, buy, prices=np.full(model.column.size, np.nan))
        with pytest.raises(DataError, match="fees"):
            what_if(model, buy, fees=[np.nan])


def test_stress_moves_equity_by_the_revalued_book():
    positions = MarginPositions.of(
        underlying="BTC", index=100.0, names=["perp"], kind=2, size=[2.0], forward=100.0, mark=100.0
    )
    profile = load_margin_profile("derive_pm2")
    model = prepare_margin(positions, profile, on=DAY)
    coin = Collateral(name="BTC", amount=1.0, price=100.0, risk_cancelling=True)
    account = Account(cash=500.0, collateral=(coin,))
    after = stressed_margin(model, [Stress(name="fall", spot=-0.2)], account)["fall"]
    assert after.equity[0] == pytest.approx(500 + 80 - 40)
    inverse = prepare_margin(
        replace(positions, is_inverse=np.array([True])), load_margin_profile("deribit_pm_btc"), on=DAY
    )
    after = stressed_margin(inverse, [Stress(name="fall", spot=-0.2)], Account(cash=3.0))["fall"]
    assert after.equity[0] == pytest.approx(3.0 + 2.0 * (1 - 1 / 0.8))
    # 200 USD of contracts are 2.5 coins after the fall.
    assert after.totals.components["roll_shock"][0] == pytest.approx(0.01 * 2.5)
    depeg = stressed_margin(model, [Stress(name="depeg", stable_price=0.90)], account)["depeg"]
    assert depeg.initial[0] > evaluate(model, None, account).initial[0]
    with pytest.raises(ConfigError, match="once"):
        stressed_margin(model, [STRESSES[0]] * 2)
    with pytest.raises(ConfigError, match="above -1"):
        Stress(name="gone", spot=-1.0)


def test_a_vol_move_may_differ_by_tenor():
    model = model_of("deribit_pm_btc")
    same = stressed_margin(
        model, [Stress(name="all", vol=0.6), Stress(name="each", vol=lambda tau, vol: vol * 1.6)]
    )
    assert same["each"].maintenance == pytest.approx(same["all"].maintenance, rel=1e-14)
    front = Stress(name="front", vol=lambda tau, vol: np.where(tau < 10 / 365, 2.0 * vol, vol))
    moved = stressed_margin(model, [front])["front"]
    assert moved.equity != pytest.approx(evaluate(model).equity)
    with pytest.raises(DataError, match="positive vol"):
        stressed_margin(model, [Stress(name="none", vol=lambda tau, vol: 0.0 * vol)])


@pytest.mark.parametrize("name", ["derive_pm2", "deribit_pm_btc", "derive_srm", "deribit_sm"])
def test_equity_meets_maintenance_at_the_distance(name):
    model = model_of(name)
    equity_now = evaluate(model)
    account = Account(cash=float(1.3 * equity_now.maintenance[0] - equity_now.equity[0]))
    distance = liquidation_distance(model, account)
    found = 0
    for way, status in distance.status.items():
        move = getattr(distance, way)
        if status is not DistanceStatus.FOUND:
            assert np.isnan(move)
            continue
        found += 1
        assert (move < 0) == way.endswith("down")
        stress = Stress(name="x", **{way.split("_")[0]: move})
        after = stressed_margin(model, [stress], account)["x"]
        assert after.equity == pytest.approx(after.maintenance, rel=1e-6)
        near = stressed_margin(model, [replace(stress, **{way.split("_")[0]: 0.98 * move})], account)["x"]
        assert near.equity[0] > near.maintenance[0]
    assert found


def test_distance_without_risk_or_without_equity():
    model = prepare_margin(
        universe(sizes=np.append(np.ones(8), 0.0)), load_margin_profile("derive_srm"), on=DAY
    )
    distance = liquidation_distance(model, Account(cash=1.0))
    assert set(distance.status.values()) == {DistanceStatus.NONE_FOUND}
    below = liquidation_distance(model, Account(cash=-1.0))
    assert set(below.status.values()) == {DistanceStatus.ALREADY_BELOW}


def test_check_names_the_limit():
    model = model_of("derive_pm2")
    flat = -model.positions.size[None, :]
    rich, poor = (
        Account(cash=1e8),
        Account(cash=float(evaluate(model).initial[0] - evaluate(model).equity[0])),
    )
    plans = np.concatenate([np.zeros_like(flat), flat])
    assert check_margin(model, plans, MarginLimits(), rich, stresses=STRESSES).ok.tolist() == [True, True]
    check = check_margin(model, plans, MarginLimits(), poor, stresses=STRESSES)
    assert not check.ok[0]
    assert "initial_use" in check.breached[0]
    ruined = check_margin(model, plans, MarginLimits(), Account(cash=-1e8), stresses=STRESSES)
    assert ruined.breached[1] == ("initial_use", "maintenance after crash", "maintenance after rally")
    with pytest.raises(ConfigError, match="limits"):
        MarginLimits(initial_use=np.nan)


@given(st.integers(0, 2**31), st.sampled_from(["derive_pm2", "deribit_pm_btc", "derive_srm"]))
@settings(max_examples=15, deadline=None)
def test_no_sequence_of_accepted_plans_leaves_the_limits(seed, name):
    rng = np.random.default_rng(seed)
    model = model_of(name, sizes=np.zeros(9))
    account, limits = Account(cash=20.0 if PROFILES[name] else 1e6), MarginLimits()
    for _ in range(6):
        plans = rng.normal(0, 4, (4, 9)) * (rng.random((4, 9)) < 0.3)
        check = check_margin(model, plans, limits, account, stresses=STRESSES)
        accepted = np.flatnonzero(check.ok)
        if not accepted.size:
            continue
        plan = plans[accepted[0]]
        p = model.positions
        account = replace(account, cash=account.cash - float((plan * p.mark)[p.is_option].sum()))
        model = prepare_margin(replace(p, size=p.size + plan), model.profile, on=DAY)
        now = evaluate(model, None, account)
        assert now.initial[0] <= limits.initial_use * now.equity[0] * (1 + 1e-9) + 1e-9
        for batch in stressed_margin(model, STRESSES, account).values():
            share = limits.stressed_maintenance_use * batch.equity[0]
            assert batch.maintenance[0] <= share * (1 + 1e-9) + 1e-9
