import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.pricing import black76_price
from ivhedge.risk.attribution.taylor import MODEL_TERMS, Moves, expand_futures, expand_options, value

STRIKE = np.array([70_000.0, 90_000.0, 95_000.0, 130_000.0])
CALL = np.array([False, True, False, True])


def moves(f0, f1, v0, v1, tau0, tau1, coin):
    fill = {"forward0": f0, "forward1": f1, "vol0": v0, "vol1": v1, "tau0": tau0, "tau1": tau1}
    return Moves(
        strike=STRIKE,
        is_call=CALL,
        is_coin=np.full(4, coin),
        **{name: np.full(4, float(x)) for name, x in fill.items()},
    )


def residual(m, **kwargs):
    found = expand_options(m, **{"order": 3, "nodes": 0, **kwargs})
    return found.change - sum(found.terms.values())


@pytest.mark.parametrize("coin", [True, False])
def test_terms_are_the_partial_derivatives_times_their_moves(coin):
    """Against central differences of the price alone, independent of the analytic Greeks."""
    m = moves(90_000, 90_500, 0.5, 0.51, 0.1, 0.0999, coin)
    found = expand_options(m, order=3, nodes=0).terms

    def v(df=0.0, dv=0.0, tau=0.1):
        return value(
            STRIKE, CALL, np.full(4, coin), np.full(4, 90_000.0 + df), np.full(4, tau), np.full(4, 0.5 + dv)
        )

    h, e = 200.0, 2e-3
    for name, expected, move in (
        ("delta", (v(h) - v(-h)) / (2 * h), 500.0),
        ("gamma", (v(h) - 2 * v() + v(-h)) / h**2, 500.0**2 / 2),
        ("speed", (v(2 * h) - 2 * v(h) + 2 * v(-h) - v(-2 * h)) / (2 * h**3), 500.0**3 / 6),
        ("vega", (v(0, e) - v(0, -e)) / (2 * e), 0.01),
        ("volga", (v(0, e) - 2 * v() + v(0, -e)) / e**2, 0.01**2 / 2),
        ("vanna", (v(h, e) - v(h, -e) - v(-h, e) + v(-h, -e)) / (4 * h * e), 5.0),
        (
            "zomma",
            (v(h, e) - 2 * v(0, e) + v(-h, e) - v(h, -e) + 2 * v(0, -e) - v(-h, -e)) / (2 * e * h**2),
            500.0**2 * 0.01 / 2,
        ),
        ("theta", v(tau=0.0999) - v(), 1.0),
        ("charm", (v(h, tau=0.0999) - v(-h, tau=0.0999) - v(h) + v(-h)) / (2 * h), 500.0),
        ("veta", (v(0, e, 0.0999) - v(0, -e, 0.0999) - v(0, e) + v(0, -e)) / (2 * e), 0.01),
    ):
        scale = np.abs(expected * move).max()
        assert found[name] == pytest.approx(expected * move, rel=0.01, abs=0.003 * scale), name


@pytest.mark.parametrize("coin", [True, False])
def test_the_residual_shrinks_with_the_order_and_the_power_of_the_move(coin):
    def worst(scale, order):
        m = moves(90_000, 90_000 * (1 + 0.02 * scale), 0.5, 0.5 + 0.03 * scale, 0.05, 0.0499, coin)
        return np.abs(residual(m, order=order)).max()

    assert worst(1, 3) < worst(1, 2)
    assert worst(1, 3) > 10 * worst(0.5, 3)  # fourth order: a factor of 16
    assert residual(moves(90_000, 92_000, 0.5, 0.53, 0.05, 0.0499, coin), nodes=6) == pytest.approx(
        np.zeros(4), abs=1e-6 * (1 if coin else 90_000)
    )


@given(st.floats(0.9, 1.1), st.floats(0.3, 0.9), st.floats(0.02, 0.3), st.booleans(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_powers_of_one_move_add_up_to_their_slope(ratio, vol1, tau0, coin, nodes):
    m = moves(90_000, 90_000 * ratio, 0.5, vol1, tau0, tau0 * 0.99, coin)
    found = expand_options(m, order=3, nodes=nodes)
    alone = sum(found.terms[name] for name in ("delta", "charm", "gamma", "color", "speed"))
    assert found.per_forward * (m.forward1 - m.forward0) == pytest.approx(alone, rel=1e-9, abs=1e-12)
    alone = sum(found.terms[name] for name in ("vega", "veta", "volga", "dvolga_dt", "ultima"))
    assert found.per_vol * (vol1 - 0.5) == pytest.approx(alone, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("coin", [True, False])
def test_the_step_to_the_payoff_is_exact(coin):
    m = moves(90_000, 95_500, 0.5, 0.5, 1 / 8760, 0.0, coin)
    found = expand_options(m, order=3, nodes=0)
    assert residual(m) == pytest.approx(np.zeros(4), abs=1e-10)
    before = black76_price(90_000.0, STRIKE, 1 / 8760, 0.5, CALL) / (90_000 if coin else 1)
    paid = np.array([0.0, 5_500.0, 0.0, 0.0]) / (95_500 if coin else 1)
    assert found.change == pytest.approx(paid - before, rel=1e-12, abs=1e-12)
    assert set(found.terms) == set(MODEL_TERMS)


def test_a_move_too_long_for_the_series_takes_the_exact_remainder():
    m = moves(90_000, 91_500, 0.5, 0.5, 3 / 8760, 2 / 8760, False)
    classical, exact = np.abs(residual(m)), np.abs(residual(m, exact_beyond=0.5))
    assert classical[1] > 10.0
    assert exact[1] < classical[1] / 100
    assert np.abs(residual(m, exact_beyond=0.5, nodes=1)) == pytest.approx(exact, abs=1e-9)
    assert residual(m, exact_beyond=1e6) == pytest.approx(residual(m), rel=1e-12)
    assert expand_options(m, order=3, nodes=0, exact_beyond=0.5).terms["speed"][1] == 0.0


def test_inverse_futures_have_a_convexity_and_linear_ones_none():
    f0, f1 = np.array([80_000.0, 80_000.0]), np.array([84_000.0, 84_000.0])
    for order, nodes, bound in ((2, 0, 2e-9), (3, 0, 1e-10), (3, 1, 1e-20)):
        found = expand_futures(f0, f1, np.array([True, False]), order=order, nodes=nodes)
        left = found.change - sum(found.terms.values())
        assert found.change == pytest.approx([1 / 80_000 - 1 / 84_000, 4_000.0], rel=1e-12)
        assert abs(left[0]) <= bound
        assert left[1] == 0.0
        assert found.per_forward * 4_000 == pytest.approx(sum(found.terms.values()), rel=1e-12)
