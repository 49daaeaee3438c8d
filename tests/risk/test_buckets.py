from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.risk.buckets import DELTA_NODES, TENOR_NODES, bucket_labels, bucket_weights, delta_label
from ivhedge.risk.exposure import exposures

from ._stub import NOW, StubSurface, option, perpetual

SURFACE = StubSurface(skew=-0.2, carry=0.05)
numbers = st.floats(-1e6, 1e6)


def book_of(*legs):
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs))


def seen(*legs, **kwargs):
    return exposures(book_of(*legs), {"BTC": SURFACE}, ts_ns=NOW, strict=False, **kwargs)


@given(st.lists(numbers, min_size=1, max_size=20), st.lists(numbers, min_size=1, max_size=8, unique=True))
@settings(deadline=None)
def test_weights_conserve_and_keep_the_place(values, nodes):
    axis = np.sort(np.array(nodes))
    weights = bucket_weights(values, axis)
    assert (weights >= 0.0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-14)
    assert ((weights > 0.0).sum(axis=1) <= 2).all()
    # Linear between neighbours: the mean place of the weights is the value itself.
    np.testing.assert_allclose(
        weights @ axis, np.clip(values, axis[0], axis[-1]), rtol=1e-9, atol=1e-9 * np.abs(axis).max()
    )


@given(
    st.lists(
        st.tuples(
            st.floats(0.05, 900.0),
            st.integers(20_000, 300_000),
            st.booleans(),
            st.integers(-50, 50).filter(bool),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda leg: (f"{leg[0]:g}", leg[1], leg[2], leg[4]),
    )
)
@settings(max_examples=40, deadline=None)
def test_the_grid_sums_to_the_total_vega(held):
    legs = [(option(d, str(k), c, coin=coin), str(q)) for d, k, c, q, coin in held]
    found = seen(*legs, (perpetual(), "100"))
    grid, total = found.vega_grid("BTC"), found.total("BTC")
    gross = np.nansum(np.abs(found.values["vega_usd_per_vol_point"]))
    assert grid.usd.sum() == pytest.approx(total["vega_usd_per_vol_point"], rel=1e-12, abs=1e-12 * gross)
    assert grid.coin.sum() == pytest.approx(total["vega_coin_per_vol_point"], rel=1e-12, abs=1e-15 * gross)
    assert grid.unpriced == 0


def test_a_leg_on_a_node_is_in_one_cell_and_between_two_tenors_in_both():
    on = seen((option(30, "80000"), "1")).vega_grid("BTC", deltas=[0.5])
    vega = seen((option(30, "80000"), "1")).total("BTC")["vega_usd_per_vol_point"]
    assert on.usd[list(TENOR_NODES).index(30.0), 0] == pytest.approx(vega, rel=1e-12)
    between = seen((option(20, "80000"), "1")).vega_grid("BTC", deltas=[0.5])
    share = between.usd[:, 0] / between.usd.sum()
    assert share[list(TENOR_NODES).index(14.0)] == pytest.approx(10 / 16)
    assert share[list(TENOR_NODES).index(30.0)] == pytest.approx(6 / 16)


def test_puts_and_calls_of_a_strike_share_a_bucket_and_wings_are_on_their_side():
    call = seen((option(30, "95000"), "1")).vega_grid("BTC")
    put = seen((option(30, "95000", False), "1")).vega_grid("BTC")
    np.testing.assert_allclose(call.usd, put.usd, rtol=1e-12)
    low = seen((option(30, "60000", False), "1")).vega_grid("BTC")
    nodes = dict(zip(("10C", "25C", "ATM", "25P", "10P"), range(5), strict=True))
    assert [delta_label(d) for d in DELTA_NODES] == list(nodes)
    assert low.usd[:, nodes["10P"]].sum() > 0.9 * low.usd.sum()
    assert call.usd[:, nodes["10C"]].sum() > call.usd[:, nodes["ATM"]].sum()
    table = call.table()
    assert table["vega_usd_per_vol_point"].sum() == pytest.approx(call.usd.sum())
    assert set(table["node"]) == set(nodes)


def test_legs_without_price_and_other_underlyings_are_told_apart():
    legs = (option(30), "1"), (option(30, underlying="ETH"), "1"), (option(-1), "1")
    found = seen(*legs)
    assert found.vega_grid("BTC").unpriced == 1
    assert found.vega_grid("ETH").unpriced == 1
    assert found.vega_grid("ETH").usd.sum() == 0.0
    assert bucket_labels(found.priced, "delta_bucket")[1] == "unpriced"


@pytest.mark.parametrize("column", ["tenor_bucket", "delta_bucket", "moneyness_bucket"])
def test_groups_by_bucket_add_up(column):
    found = seen(
        (option(2, "70000", False), "-1"),
        (option(30, "80000"), "2"),
        (option(100, "120000"), "3"),
        (perpetual(), "100"),
        (perpetual(days=30), "100"),
        (option(-1), "1"),
    )
    by = found.by(column)
    for name in ("delta_usd", "vega_coin_per_vol_point"):
        assert by[name].sum() == pytest.approx(found.total("BTC")[name], rel=1e-12)
    assert by["n_legs"].sum() == 6
    assert by["unpriced"].sum() == 1
    labels = dict(zip(found.legs["instrument"], bucket_labels(found.priced, column), strict=True))
    first, last = option(2, "70000", False).key, option(100, "120000").key
    expected = {
        "tenor_bucket": ("0-3d", "90-180d", "perpetual"),
        "delta_bucket": ("0-10P", "0-10C", "linear"),
        "moneyness_bucket": ("z < -2", "z 1..2", "linear"),
    }[column]
    assert (labels[first], labels[last], labels[perpetual().key]) == expected


@pytest.mark.parametrize("nodes", [[], [1.0, 1.0], [2.0, 1.0], [np.nan], [1.0, np.inf]])
def test_bad_nodes(nodes):
    with pytest.raises(ConfigError, match="ascending"):
        bucket_weights([1.0], nodes)


def test_unknown_bucket():
    with pytest.raises(ConfigError, match="tenor_bucket"):
        bucket_labels(seen((option(), "1")).priced, "strike")
