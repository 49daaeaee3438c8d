import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, StaleQuote
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.risk.attribution import (
    MARKET_FACTORS,
    ExplainSettings,
    ExplainStatus,
    Flows,
    LegMarks,
    explain,
    mark_legs,
    trading_profit,
)

from ._book import EXPIRIES, SETTLES, T0, book, hourly, marked, surface

T1 = T0 + 6 * NS_PER_HOUR
METHODS = [
    ExplainSettings(),
    ExplainSettings(order=2, max_step_ns=None),
    ExplainSettings(nodes=3),
    ExplainSettings(exact_beyond=0.5),
    ExplainSettings(method="revaluation"),
    ExplainSettings(method="revaluation", symmetric=True, max_step_ns=None),
]


def change(legs, start, end):
    inverse = legs.is_coin & ~legs.is_option
    with np.errstate(divide="ignore"):
        return legs.size * np.where(inverse, 1 / start.price - 1 / end.price, end.price - start.price)


def replaced(marks, **values):
    return LegMarks(**{n: getattr(marks, n) for n in LegMarks.__slots__} | values)


@given(
    st.sampled_from(METHODS),
    st.booleans(),
    st.booleans(),
    st.floats(80_000, 100_000),
    st.floats(0.25, 1.0),
    st.floats(-0.1, 0.1),
    st.lists(st.floats(-0.01, 0.01), min_size=6, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_every_split_adds_up_to_the_ledger(method, coin, with_path, spot, level, skew, posted):
    legs = book(coin=coin)
    start = marked(legs, surface(T0), noise=0.004)
    end = marked(legs, surface(T1, spot=spot, level=level, skew=skew), noise=-0.003)
    flows = Flows(funding=posted, fees=posted[::-1], trading=0.001)
    done = explain(legs, start, end, path=hourly() if with_path else None, flows=flows, settings=method)
    ledger = change(legs, start, end) + np.array(posted) + np.array(posted[::-1]) + 0.001
    scale = np.abs(done.terms).sum(axis=(0, 2)) + np.abs(ledger)
    for split in (done.terms, done.factors):
        assert np.abs(split.sum(axis=(0, 2)) - ledger).max() <= (1e-12 * scale).max()
        assert (np.abs(split.sum(axis=(0, 2)) - ledger) <= 1e-9 * scale).all()
    assert done.terms.sum(axis=2) == pytest.approx(done.factors.sum(axis=2), rel=1e-9, abs=1e-9)
    unexplained = done.factors[:, :, done.factor_names.index("unexplained")]
    assert np.abs(unexplained).max() <= 1e-9 * scale.max()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("sequence", [MARKET_FACTORS, MARKET_FACTORS[::-1]])
def test_revaluation_has_no_residual_and_takes_any_order(sequence, symmetric):
    legs = book()
    start, end = marked(legs, surface(T0), 0.01), marked(legs, surface(T1, spot=80_000.0, level=0.9), -0.01)
    how = ExplainSettings(method="revaluation", sequence=sequence, symmetric=symmetric)
    done = explain(legs, start, end, path=hourly(), settings=how)
    assert np.abs(done.factors[:, :, done.factor_names.index("residual")]).max() == 0.0
    assert done.factors.sum() == pytest.approx(change(legs, start, end).sum(), rel=1e-9)


def factor(done, name):
    return done.factors[:, :, done.factor_names.index(name)].sum(axis=0)


@pytest.mark.parametrize("method", [ExplainSettings(), ExplainSettings(method="revaluation")])
def test_pure_moves_land_in_their_own_factor(method):
    legs = book()
    start = marked(legs, surface(T0, carry=0.0))
    for name, values, legs_moved in (
        ("spot", {"spot": 90_900.0}, range(6)),
        ("level", {"level": 0.53}, range(4)),
        ("basis", {"carry": 0.02}, (0, 1, 2, 3, 5)),
    ):
        end = marked(legs, surface(T1, **{"carry": 0.0} | values))
        done = explain(legs, start, end, settings=method)
        by = {n: np.abs(factor(done, n)[list(legs_moved)]).sum() for n in MARKET_FACTORS if n != "time"}
        assert max(by, key=by.__getitem__) == name
        assert by[name] > 0.6 * sum(by.values()), by
    quiet = explain(legs, start, marked(legs, surface(T1, carry=0.0)), settings=method)
    assert factor(quiet, "time")[:2].min() > 0.0  # short options earn theta
    assert np.abs(factor(quiet, "spot")).max() == 0.0


def test_marks_off_the_surface_are_their_own_factor():
    legs = book()
    done = explain(legs, marked(legs, surface(T0)), marked(legs, surface(T1), noise=0.02))
    own, level = np.abs(factor(done, "mark_vs_surface")), np.abs(factor(done, "level"))
    assert (own[:4] > 8 * level[:4]).all()


def test_carry_of_a_dated_future_is_its_roll_down():
    legs = book()
    done = explain(legs, marked(legs, surface(T0)), marked(legs, surface(T1)))
    expected = 0.3 * 90_000 * np.exp(0.06 * 90 / 365) * -0.06 * 6 / 8760
    assert factor(done, "basis_roll")[5] == pytest.approx(expected, rel=1e-3)
    assert factor(done, "basis_roll")[4] == 0.0
    assert factor(done, "basis")[5] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("coin", [True, False])
def test_legs_that_expire_inside_are_explained_to_their_payoff(method, coin):
    legs = book(coin=coin, expiry=[SETTLES, EXPIRIES[2]])
    t0, t1 = SETTLES - 3 * NS_PER_HOUR - 77, SETTLES + 2 * NS_PER_HOUR
    settlement = np.where(legs.expiry_ns == SETTLES, 93_500.0, np.nan)
    start = marked(legs, surface(t0))
    end = marked(legs, surface(t1, spot=93_000.0), settlement=settlement)
    done = explain(legs, start, end, path=hourly(t0), settings=method)
    paid = np.array([0.0, 500.0]) / (93_500.0 if coin else 1.0)
    assert done.total.sum(axis=0)[:2] == pytest.approx(-(paid - start.price[:2]), rel=1e-9)
    assert done.status[:2] == (ExplainStatus.SETTLED,) * 2
    later = done.terms[done.start_ns >= SETTLES][:, :2]
    assert later.size == 0 or np.abs(later).max() < 1e-13 * start.price[:2].max()
    assert np.abs(factor(done, "unexplained")).max() < 1e-9 * np.abs(done.terms).sum()
    assert "cross" in done.factor_names


def test_a_leg_without_a_vol_is_kept_as_unexplained():
    legs = book(coin=False)
    start = marked(legs, surface(T0))
    price = marked(legs, surface(T1)).price.copy()
    price[1] = -5.0  # no vol gives this price
    end = mark_legs(legs, ts_ns=T1, spot=90_000.0, price=price, forward=surface(T1).forward(0.1))
    assert end.status[1] is ExplainStatus.NO_VOL
    done = explain(legs, start, end)
    assert done.status[1] is ExplainStatus.NO_VOL
    assert factor(done, "unexplained")[1] == pytest.approx(-(-5.0 - start.price[1]), rel=1e-12)
    assert done.total.sum() == pytest.approx(change(legs, start, end).sum(), rel=1e-9)
    assert np.abs(done.terms[:, 1, :-1]).max() == 0.0


def test_where_the_surface_stands_in_the_gap_to_the_mark_is_unexplained():
    legs = book(coin=False)
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1))
    price = end.price.copy()
    price[0] = -5.0
    seen = surface(T1)
    end = mark_legs(legs, ts_ns=T1, spot=90_000.0, price=price, forward=end.forward, surface=seen)
    assert end.status[0] is ExplainStatus.SURFACE_VOL
    done = explain(legs, start, end)
    gap = -(-5.0 - marked(legs, seen).price[0])
    assert factor(done, "unexplained")[0] == pytest.approx(gap, rel=1e-9)
    assert done.total.sum() == pytest.approx(change(legs, start, end).sum(), rel=1e-9)


def test_a_leg_without_a_mark_needs_the_ledger_and_keeps_its_profit():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1))
    price = end.price.copy()
    price[2] = np.nan
    end = mark_legs(legs, ts_ns=T1, spot=90_000.0, price=price, forward=end.forward, surface=surface(T1))
    with pytest.raises(DataError, match=r"put2: expected a mark .* found no_mark"):
        explain(legs, start, end)
    booked = np.full(legs.count, np.nan)
    booked[2] = -0.0123
    done = explain(legs, start, end, ledger_profit=booked, flows=Flows(fees=-0.0001))
    assert done.total.sum(axis=0)[2] == pytest.approx(-0.0123, rel=1e-12)
    assert factor(done, "unexplained")[2] == pytest.approx(-0.0122, rel=1e-12)
    assert done.status[2] is ExplainStatus.NO_MARK
    assert "missing" in done.status[2].describe()


def test_a_leg_that_had_expired_before_keeps_what_the_ledger_posts():
    legs = book(expiry=[SETTLES, EXPIRIES[2]])
    settlement = np.where(legs.expiry_ns == SETTLES, 90_000.0, np.nan)
    start = marked(legs, surface(SETTLES + NS_PER_HOUR), settlement=settlement)
    end = marked(legs, surface(SETTLES + 4 * NS_PER_HOUR), settlement=settlement)
    done = explain(legs, start, end, ledger_profit=[0.25, *[np.nan] * 5])
    assert done.status[:2] == (ExplainStatus.EXPIRED,) * 2
    assert done.total.sum(axis=0)[:2].tolist() == [0.25, 0.0]


def test_a_settlement_price_that_is_missing_is_no_mark():
    legs = book(expiry=[SETTLES, EXPIRIES[2]])
    end = marked(legs, surface(SETTLES + NS_PER_HOUR))
    assert end.status[0] is ExplainStatus.NO_MARK
    assert end.status[2] is ExplainStatus.OK


def test_trades_inside_the_step_earn_against_the_mark_at_its_end():
    assert trading_profit(2.0, 100.0, 103.0) == 6.0
    assert trading_profit(1_000.0, 80_000.0, 84_000.0, True) == pytest.approx(1_000 / 80_000 - 1_000 / 84_000)


def test_bad_input():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1))
    for wrong in (
        {"method": "guess"},
        {"order": 4},
        {"nodes": -1},
        {"max_step_ns": 0},
        {"skew_stickiness": np.nan},
        {"exact_beyond": -1.0},
        {"sequence": ("time", "spot")},
    ):
        with pytest.raises(ConfigError, match="expected"):
            ExplainSettings(**wrong)
    with pytest.raises(DataError, match="funding"):
        explain(legs, start, end, flows=Flows(funding=[1.0, 2.0]))
    with pytest.raises(DataError, match="fees"):
        explain(legs, start, end, flows=Flows(fees=np.nan))
    with pytest.raises(DataError, match="ledger_profit"):
        explain(legs, start, end, ledger_profit=[1.0])
    with pytest.raises(DataError, match="6 legs at the end"):
        explain(legs, start, replaced(end, price=end.price[:2]))
    with pytest.raises(DataError, match="index"):
        mark_legs(legs, ts_ns=T0, spot=np.nan, price=1.0, forward=1.0)
    with pytest.raises(StaleQuote, match="surface of BTC"):
        mark_legs(legs, ts_ns=T1, spot=90_000.0, price=1.0, forward=1.0, surface=surface(T0))
    with pytest.raises(DataError, match="one of ETH"):
        mark_legs(
            legs, ts_ns=T0, spot=90_000.0, price=1.0, forward=1.0, surface=surface(T0, underlying="ETH")
        )
