from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.risk.margin import Account, evaluate, load_margin_profile, margin, prepare_margin
from ivhedge.risk.margin._aggregate_numba import aggregate_kernel
from ivhedge.risk.margin._aggregate_numpy import aggregate_numpy

from ._books import DAY, PROFILES, model_of, universe

SIZES = st.lists(st.floats(-50, 50).map(lambda x: round(x, 3)), min_size=9, max_size=9)
NAMES = st.sampled_from(sorted(PROFILES))
MODELS = {name: model_of(name) for name in PROFILES}


def books(name, sizes):
    return np.array(sizes)[None, : MODELS[name].column.size]


@given(NAMES, SIZES)
@settings(max_examples=120, deadline=None)
def test_margin_is_never_negative_and_maintenance_never_above_initial(name, sizes):
    batch = evaluate(MODELS[name], books(name, sizes))
    assert batch.maintenance[0] >= 0.0
    assert batch.initial[0] >= batch.maintenance[0] * (1 - 1e-12)


@given(NAMES, SIZES, st.permutations(range(9)))
@settings(max_examples=60, deadline=None)
def test_order_does_not_matter(name, sizes, order):
    model = MODELS[name]
    n = model.column.size
    order = [i for i in order if i < n]
    p = universe(inverse=PROFILES[name], futures=name != "binance")
    fields = [
        "kind",
        "mark",
        "forward",
        "strike",
        "tau",
        "vol",
        "rate",
        "is_call",
        "is_inverse",
        "confidence",
        "age_s",
    ]
    shuffled = replace(
        p,
        names=tuple(p.names[i] for i in order),
        size=np.array(sizes)[order],
        **{f: getattr(p, f)[order] for f in fields},
    )
    one = evaluate(model, books(name, sizes))
    other = evaluate(prepare_margin(shuffled, model.profile, on=DAY))
    for field in ("initial", "maintenance", "equity"):
        assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-9, abs=1e-6)


@given(NAMES, SIZES, st.integers(0, 7), st.floats(-20, 20))
@settings(max_examples=60, deadline=None)
def test_splitting_a_position_does_not_matter(name, sizes, i, part):
    model = MODELS[name]
    p = replace(
        universe(inverse=PROFILES[name], futures=name != "binance"),
        size=books(name, sizes)[0],
    )
    fields = [
        "kind",
        "mark",
        "forward",
        "strike",
        "tau",
        "vol",
        "rate",
        "is_call",
        "is_inverse",
        "confidence",
        "age_s",
    ]
    size = np.append(p.size, part)
    size[i] -= part
    split = replace(
        p,
        names=(*p.names, p.names[i]),
        size=size,
        **{f: np.append(getattr(p, f), getattr(p, f)[i]) for f in fields},
    )
    whole = evaluate(model, books(name, sizes))
    parts = evaluate(prepare_margin(split, model.profile, on=DAY))
    for field in ("initial", "maintenance", "equity"):
        assert getattr(parts, field) == pytest.approx(getattr(whole, field), rel=1e-9, abs=1e-6)


@given(
    st.sampled_from(["derive_pm2", "derive_srm", "okx_pm", "bybit", "binance"]), SIZES, st.floats(0.01, 50)
)
@settings(max_examples=80, deadline=None)
def test_margin_scales_with_the_sizes_where_no_rule_depends_on_size(name, sizes, factor):
    one = evaluate(MODELS[name], books(name, sizes))
    scaled = evaluate(MODELS[name], factor * books(name, sizes))
    assert scaled.initial == pytest.approx(factor * one.initial, rel=1e-9, abs=1e-6)
    assert scaled.maintenance == pytest.approx(factor * one.maintenance, rel=1e-9, abs=1e-6)


@given(NAMES, SIZES)
@settings(max_examples=60, deadline=None)
def test_long_options_never_lose_more_than_their_premium(name, sizes):
    model = MODELS[name]
    held = np.abs(books(name, sizes))
    held[:, ~model.positions.is_option] = 0.0
    batch = evaluate(model, held)
    p = model.positions
    value = held @ np.where(p.is_option, p.mark, 0.0)
    if hasattr(batch.totals, "pnl"):
        # The discount and rounding apart; the basis contingency is a charge and not a loss.
        assert np.all(batch.totals.pnl[:, :-1] >= -value * (1 + 1e-9) - 1e-9)
    else:
        assert batch.initial == pytest.approx(0.0, abs=1e-9)


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_compiled_aggregation_and_its_twin_agree(seed, n_books, n):
    rng = np.random.default_rng(seed)
    s, bounds = 7, np.array([0, n // 3, n // 2, n], dtype=np.int64)
    arguments = (
        rng.normal(size=(n_books, n)) * rng.integers(0, 2, (n_books, n)),
        rng.uniform(0, 5, (n, s + 2)),
        rng.uniform(0, 5, n),
        bounds,
        rng.uniform(0.8, 1, 3),
        rng.uniform(1, 1.2, 3),
        rng.uniform(0, 2, 3),
        rng.uniform(0, 1, s),
        rng.random(s) < 0.3,
    )
    start = rng.normal(size=(n_books, s + 1))
    one, two = start.copy(), start.copy()
    aggregate_kernel(*arguments, one)
    aggregate_numpy(*arguments, two)
    np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-11)


def test_deribit_standard_by_hand():
    from ivhedge.risk.margin import MarginPositions

    positions = MarginPositions.of(
        underlying="BTC",
        index=100_000.0,
        names=["call", "put", "deep put", "long"],
        kind=0,
        size=[-2.0, -1.0, -1.0, 5.0],
        mark=[0.02, 0.03, 2.5, 0.1],
        forward=100_000.0,
        strike=[103_000.0, 90_000.0, 350_000.0, 100_000.0],
        tau=0.1,
        vol=0.5,
        is_call=[True, False, False, True],
        is_inverse=True,
    )
    result = margin(prepare_margin(positions, load_margin_profile("deribit_sm"), on=DAY), Account(cash=10.0))
    # Call: 0.15 - 0.03 + mark. Put: out of the money by 10 %, so the minimum. Deep put: maintenance decides.
    expected = {"call": (0.28, 0.19), "put": (0.13, 0.105), "deep put": (2.6875, 2.6875), "long": (0.0, 0.0)}
    for name, pair in expected.items():
        assert result.by_position[name] == pytest.approx(pair, abs=1e-12)
    assert result.initial == pytest.approx(0.28 + 0.13 + 2.6875)
    assert (result.currency, result.equity) == ("BTC", 10.0)


def test_deribit_portfolio_option_by_hand():
    from ivhedge.pricing import black76_price
    from ivhedge.risk.margin import MarginPositions

    positions = MarginPositions.of(
        underlying="BTC",
        index=100_000.0,
        names=["call"],
        kind=0,
        size=[-10.0],
        mark=0.05,
        forward=100_000.0,
        strike=110_000.0,
        tau=60 / 365,
        vol=0.4,
        is_call=True,
        is_inverse=True,
    )
    model = prepare_margin(positions, load_margin_profile("deribit_pm_btc"), on=DAY)
    result = margin(model)
    vol = 0.5 * (1 + 0.5 * (30 / 60) ** 0.13)
    after = black76_price(116_000.0, 110_000.0, 60 / 365, vol, True) / 116_000
    before = black76_price(100_000.0, 110_000.0, 60 / 365, 0.4, True) / 100_000
    assert result.by_scenario["+16% up"] == pytest.approx(-10 * (after - before), rel=1e-9)
    assert result.worst_scenario == "+16% up"
    assert result.status == "assumed"
    assert result.maintenance == pytest.approx(0.8 * result.by_component["risk_matrix"])
