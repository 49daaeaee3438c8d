"""What policies can be asked for besides bands, on a simulated market: objectives, rules, views."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from ivhedge.app.config import load_book, load_policies, load_replay
from ivhedge.app.showcase import showcase_book
from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.engine import BookSpec, PolicyKind, PolicySpec, ReplayConfig, replay
from ivhedge.engine.guidance import Guidance, ViewSource
from ivhedge.engine.policies import objective_of, ratio_of
from ivhedge.engine.series import pnl_usd
from ivhedge.engine.spec import DeltaRuleKind, ObjectiveKind
from ivhedge.forecast import bars_from_frame
from ivhedge.forecast.view import HoldingCosts, ViewRules
from ivhedge.hedge import DeltaGamma, DeltaGammaVega
from ivhedge.market.simulator import BTC, SimulationConfig, simulate_market
from ivhedge.surface import EssviSurface
from tests.forecast.conftest import simulated_frame
from tests.risk._stub import NOW, StubSurface

EMPTY = BookSpec(name="empty", venue="aurora", collateral_usd=1e6, empty=True)


@pytest.fixture(scope="module")
def looks():
    config = SimulationConfig(n_snapshots=6, step_ns=6 * NS_PER_HOUR, assets=(BTC,))
    return tuple(simulate_market(config, np.random.default_rng(11)).snapshots())


@pytest.fixture(scope="module")
def bars(looks, tmp_path_factory):
    """A year of hourly bars that end at the first look, at its price."""
    frame = simulated_frame(400)[0]
    end = looks[-1].ts_ns // NS_PER_DAY * NS_PER_DAY + NS_PER_DAY
    shift = end - NS_PER_HOUR - frame["timestamp"].dt.epoch("ns")[-1]
    scale = looks[0].index / frame["close"][-1]
    path = tmp_path_factory.mktemp("bars") / "BTC.parquet"
    frame.with_columns(
        pl.col("timestamp") + pl.duration(nanoseconds=shift),
        pl.col("open", "high", "low", "close") * scale,
    ).write_parquet(path)
    return path


def vega(name, **changes):
    return PolicySpec(**({"name": name, "kind": PolicyKind.DELTA_VEGA, "vega_band": 0.1} | changes))


def trades(policy):
    return policy.trades.select("instrument", "quantity", "purpose").rows()


def test_every_objective_hedges_and_they_differ(looks):
    policies = [
        vega("bands"),
        vega("few", max_hedge_options=1),
        vega("held", holding_days=20.0),
        vega("gamma", objective=ObjectiveKind.DELTA_GAMMA, vega_band=100.0),
        vega("one vega", objective=ObjectiveKind.DELTA_GAMMA_VEGA, vega_band=100.0),
        vega("moneyness", skew_stickiness=0.0),
    ]
    result = replay(looks, showcase_book(), policies, ReplayConfig(name="t"))
    seen = {policy.name: trades(policy) for policy in result.policies}
    assert all(seen.values())
    assert len({str(rows) for rows in seen.values()}) >= 5
    hedges = {
        name: {row[0] for row in rows if row[2] == "hedge" and row[0].endswith(("-C", "-P"))}
        for name, rows in seen.items()
    }
    assert len(hedges["bands"]) > 1
    assert len(hedges["few"]) <= len(hedges["bands"])
    again = replay(looks, showcase_book(), policies, ReplayConfig(name="t"))
    assert {policy.name: trades(policy) for policy in again.policies} == seen


def test_a_factor_model_is_not_there_at_once_and_that_is_told(looks):
    kinds = (ObjectiveKind.MINIMUM_VARIANCE, ObjectiveKind.FACTOR_NEUTRAL, ObjectiveKind.CVAR)
    policies = [vega("bands"), *(vega(kind.value, objective=kind) for kind in kinds)]
    result = replay(looks, showcase_book(), policies, ReplayConfig(name="t"))
    bands, *learning = result.policies
    for policy in learning:
        assert trades(policy) == trades(bands)
        words = policy.journal.filter(pl.col("event") == "no_factors")["detail"].to_list()
        assert words
        assert "surfaces seen" in words[0]


def test_what_is_learnt_comes_with_the_surfaces():
    """Sixty surfaces whose vols and spots wander: a model, scenarios, refitted now and then."""
    rng, guidance = np.random.default_rng(5), Guidance()
    spot, level = 80_000.0, 0.5
    seen = []
    for place in range(85):
        spot, level = spot * np.exp(0.01 * rng.standard_normal()), level + 0.005 * rng.standard_normal()
        taus = np.array([5.0, 30.0, 90.0, 200.0]) / 365.0
        ts_ns = NOW + place * 6 * NS_PER_HOUR
        theta = level**2 * taus * (1.0 + 0.01 * rng.standard_normal())
        surface = EssviSurface(
            underlying="BTC",
            ts_ns=ts_ns,
            expiries=ts_ns + (taus * 365 * NS_PER_DAY).astype(np.int64),
            taus=taus,
            theta=theta,
            rho=np.array([-0.1, -0.2, -0.3, -0.3]) + 0.01 * rng.standard_normal(),
            psi=0.9 * np.sqrt(theta) * (1.0 + 0.01 * rng.standard_normal()),
            forwards=spot * np.exp((0.05 + 0.005 * rng.standard_normal()) * taus),
            index=spot,
        )
        guidance.observe(SimpleNamespace(surfaces={"BTC": surface}))
        model, scenarios = guidance.factors("BTC"), guidance.scenarios("BTC")
        assert (model is None) == (scenarios is None) == (place < 59)
        seen.append((model, scenarios))
    assert len({id(model) for model, _ in seen[59:]}) == 2
    assert len({id(scenarios) for _, scenarios in seen[59:]}) == 7
    model, scenarios = seen[-1]
    spread = model.scales[model.names.index("BTC.spot")]
    assert spread == pytest.approx(0.02, rel=0.3)
    assert scenarios.values.shape[0] > 50
    kind = vega("p", objective=ObjectiveKind.CVAR)
    assert objective_of(kind, guidance, "BTC").scenarios is scenarios
    kind = vega("p", objective=ObjectiveKind.FACTOR_NEUTRAL)
    assert objective_of(kind, guidance, "BTC").model is model


def test_bands_that_follow_from_cost_are_wider_where_trading_is_dear(looks):
    kinds = list(DeltaRuleKind)
    policies = [
        PolicySpec(name=f"{kind} {cost}", kind=PolicyKind.DELTA, delta_rule=kind, rule_cost_bps=cost)
        for kind in kinds
        for cost in (0.1, 400.0)
    ]
    result = replay(looks, showcase_book(), policies, ReplayConfig(name="t"))
    count = {policy.name: policy.trades.height for policy in result.policies}
    for kind in kinds:
        assert count[f"{kind} 0.1"] > count[f"{kind} 400.0"]


def test_vega_is_held_where_it_is_wanted(looks, bars):
    policies = [
        PolicySpec(name="flat", kind=PolicyKind.DELTA),
        PolicySpec(name="short", kind=PolicyKind.FIXED_VEGA, vega_usd=-200.0),
        PolicySpec(name="view", kind=PolicyKind.VIEW, vega_usd=200.0),
    ]
    config = ReplayConfig(name="t", numeraire="usd", view_bars={"BTC": bars})
    result = replay(looks, EMPTY, policies, config)
    flat, short, view = result.policies
    assert not any(row[0].endswith(("-C", "-P")) for row in trades(flat))
    last = short.equity.sort("ts")["vega_usd_per_vol_point"][-1]
    assert last == pytest.approx(-600.0, rel=0.4)
    assert abs(view.equity.sort("ts")["vega_usd_per_vol_point"][-1]) <= 3 * 200.0 * 1.4
    again = replay(looks, EMPTY, policies, config)
    for first, second in zip(result.policies, again.policies, strict=True):
        assert pnl_usd(first, "usd").equals(pnl_usd(second, "usd"))


def test_a_view_knows_nothing_that_has_not_ended():
    frame = simulated_frame(420)[0]
    start = frame["timestamp"].dt.epoch("ns")[0]
    rules, costs = ViewRules(capital_usd=1e6, max_vega_usd=1e3), HoldingCosts()
    times = [start + 300 * NS_PER_DAY + hours * NS_PER_HOUR for hours in (0, 5, 30, 200)]
    spoilt = frame.with_columns(
        pl.when(pl.col("timestamp").dt.epoch("ns") >= times[-1])
        .then(pl.col(name) * 3.0)
        .otherwise(pl.col(name))
        for name in ("open", "high", "low", "close")
    )
    views = []
    for bars in (frame, spoilt):
        source = ViewSource(bars=bars_from_frame(bars), source="x")
        surface = StubSurface(spot=100.0)
        views.append([source.view(replace(surface, ts_ns=ts), rules, costs).to_dict() for ts in times])
    assert views[0] == views[1]
    # Fed step by step it ends where a source ends that starts later.
    late = ViewSource(bars=bars_from_frame(frame), source="x").view(
        replace(StubSurface(spot=100.0), ts_ns=times[-1]), rules, costs
    )
    expected = [target["expected_vol"] for target in views[0][-1]["targets"]]
    assert [t["expected_vol"] for t in late.to_dict()["targets"]] == pytest.approx(expected, rel=0.1)


def test_a_view_without_bars_is_refused(looks, tmp_path):
    policy = PolicySpec(name="view", kind=PolicyKind.VIEW, vega_usd=100.0)
    with pytest.raises(ConfigError, match="view_bars"):
        replay(looks, EMPTY, [policy], ReplayConfig(name="t", numeraire="usd"))
    old = tmp_path / "old.parquet"
    simulated_frame(300)[0].write_parquet(old)
    with pytest.raises(DataError):
        replay(looks, EMPTY, [policy], ReplayConfig(name="t", numeraire="usd", view_bars={"BTC": old}))


def test_objectives_and_ratios_by_name():
    none = Guidance()
    assert objective_of(vega("p"), none, "BTC") is None
    assert objective_of(vega("p", objective=ObjectiveKind.DELTA_GAMMA), none, "BTC") == DeltaGamma()
    assert objective_of(vega("p", objective=ObjectiveKind.DELTA_GAMMA_VEGA), none, "BTC") == DeltaGammaVega()
    assert objective_of(vega("p", objective=ObjectiveKind.CVAR), none, "BTC") is None
    assert ratio_of(vega("p")) is None
    assert ratio_of(vega("p", skew_stickiness=0.5)).rule.ssr_at(np.array([0.1])) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": PolicyKind.DELTA, "objective": ObjectiveKind.DELTA_GAMMA},
        {"kind": PolicyKind.DELTA, "max_hedge_options": 2},
        {"kind": PolicyKind.DELTA, "holding_days": 3.0},
        {"max_hedge_options": -1},
        {"holding_days": 0.0},
        {"vega_usd": 5.0},
        {"kind": PolicyKind.VIEW},
        {"kind": PolicyKind.VIEW, "vega_usd": -5.0},
        {"kind": PolicyKind.FIXED_VEGA, "vega_usd": float("nan")},
        {"delta_rule": DeltaRuleKind.ZAKAMOULINE, "delta_band": 0.1},
        {"rule_aversion": 0.0},
        {"skew_stickiness": float("inf")},
        {"delta_band": float("nan")},
    ],
)
def test_what_does_not_go_together_is_refused(wrong):
    with pytest.raises(ConfigError, match="'p'"):
        vega("p", **wrong)


def test_an_empty_book_has_to_be_meant():
    with pytest.raises(ConfigError, match="empty = true"):
        BookSpec(name="b", venue="deribit", collateral_usd=1.0)
    with pytest.raises(ConfigError, match="empty = true"):
        replace(showcase_book(), empty=True)


def test_files_say_all_of_it(tmp_path):
    policies = tmp_path / "policies.toml"
    policies.write_text(
        '[[policy]]\nname = "a"\nkind = "delta_vega"\nobjective = "minimum_variance"\nmax_hedge_options = 3\n'
        "holding_days = 10\nskew_stickiness = 0.5\n"
        '[[policy]]\nname = "b"\nkind = "delta"\ndelta_rule = "zakamouline"\nrule_cost_bps = 6\n'
        '[[policy]]\nname = "c"\nkind = "view"\nvega_usd = 500\n'
    )
    first, second, third = load_policies(policies)
    assert (first.objective, first.max_hedge_options) == (ObjectiveKind.MINIMUM_VARIANCE, 3)
    assert second.delta_rule is DeltaRuleKind.ZAKAMOULINE
    assert third.vega_usd == 500.0
    book = tmp_path / "book.toml"
    book.write_text('name = "none"\nvenue = "deribit"\ncollateral_usd = 1e6\nempty = true\n')
    assert load_book(book).empty
    run = tmp_path / "replay.toml"
    run.write_text('name = "r"\n[view_bars]\nBTC = "bars/BTC.parquet"\n')
    assert load_replay(run).view_bars == {"BTC": (tmp_path / "bars" / "BTC.parquet").resolve()}
