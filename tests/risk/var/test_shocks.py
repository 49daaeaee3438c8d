import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, EmptyData, UnknownInstrument
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.risk.panel import SurfacePanel
from ivhedge.risk.var import ScenarioSet, ShockLayout, SurfaceSeries, compose_shocks, shock_history

from .._stub import NOW
from ._market import NODES, TENORS, layout, series


def test_shocks_are_log_moves_between_times_a_day_apart():
    rng = np.random.default_rng(0)
    btc, eth = series(rng), series(rng, underlying="ETH")
    found = shock_history({"BTC": btc, "ETH": eth})
    assert found.values.shape == (196, 2 * 19)
    u, vols, rates = found.layout.split(found.values, "ETH")
    assert u[10] == pytest.approx(np.log(eth.spot[14] / eth.spot[10]))
    assert vols[10] == pytest.approx(np.log(eth.vols[14] / eth.vols[10]))
    assert rates[10] == pytest.approx(eth.forward_rate[14] - eth.forward_rate[10])
    assert (found.end_ns - found.start_ns == NS_PER_DAY).all()


def test_gaps_and_missing_vols_leave_rows_out_and_are_counted():
    rng = np.random.default_rng(1)
    whole = series(rng, 60)
    holes = whole.vols.copy()
    holes[20, 1, 2] = np.nan
    found = shock_history({"BTC": type(whole)(**{**whole.__dict__, "vols": holes})})
    assert found.dropped == 2
    assert found.values.shape[0] == 54
    keep = np.r_[0:20, 40:60]
    cut = type(whole)("BTC", whole.ts_ns[keep], whole.spot[keep], whole.vols[keep], whole.forward_rate[keep])
    spans = np.diff(
        np.stack([shock_history({"BTC": cut}).start_ns, shock_history({"BTC": cut}).end_ns]), axis=0
    )
    assert (np.abs(spans - NS_PER_DAY) <= 4 * NS_PER_HOUR).all()


def test_only_common_times_count_and_the_future_stays_unknown():
    rng = np.random.default_rng(2)
    btc, eth = series(rng, 50), series(rng, 80, underlying="ETH")
    found = shock_history({"BTC": btc, "ETH": eth})
    assert found.end_ns.max() == btc.ts_ns[-1]
    known = found.until(int(btc.ts_ns[20]))
    assert known.end_ns.max() == btc.ts_ns[20]
    with pytest.raises(EmptyData):
        found.until(NOW)


def test_a_panel_is_a_series():
    source = series(np.random.default_rng(3), 30)
    panel: SurfaceSeries = SurfacePanel(
        underlying="BTC",
        ts_ns=source.ts_ns,
        spot=source.spot,
        tenor_days=TENORS,
        nodes=NODES,
        vols=source.vols,
        forward_rate=source.forward_rate,
        status=np.zeros((30, 3), dtype=np.uint8),
    )
    assert np.array_equal(shock_history({"BTC": panel}).values, shock_history({"BTC": source}).values)


def test_composed_shocks_have_the_variance_of_the_horizon():
    short = shock_history(
        {"BTC": series(np.random.default_rng(4), 2000)}, horizon_ns=6 * NS_PER_HOUR, tolerance_ns=NS_PER_HOUR
    )
    for days, block in ((1.0, 1), (2.5, 4), (0.125, 1)):
        found = compose_shocks(
            short, horizon_ns=int(days * NS_PER_DAY), draws=6000, rng=np.random.default_rng(5), block=block
        )
        ratio = found.values[:, 0].std() / short.values[:, 0].std()
        assert ratio == pytest.approx(np.sqrt(4 * days), rel=0.06)
        assert found.horizon_ns == int(days * NS_PER_DAY)


def test_overlapping_shocks_do_not_compose():
    rng = np.random.default_rng(6)
    with pytest.raises(DataError, match="overlap"):
        compose_shocks(shock_history({"BTC": series(rng)}), horizon_ns=NS_PER_DAY, draws=5, rng=rng)


@settings(deadline=None)
@given(st.integers(1, 4))
def test_split_reads_back_what_the_layout_describes(n):
    shape = layout("BTC", "ETH")
    values = np.arange(float(n * shape.size)).reshape(n, -1)
    parts = [part.reshape(n, -1) for coin in ("BTC", "ETH") for part in shape.split(values, coin)]
    assert np.array_equal(np.concatenate(parts, axis=1), values)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="different underlyings"):
        layout("BTC", "BTC")
    with pytest.raises(ConfigError, match="at the money"):
        ShockLayout(underlyings=("BTC",), tenor_days=TENORS, nodes=np.array([-1.0, 1.0]))
    with pytest.raises(ConfigError, match="ascending"):
        ShockLayout(underlyings=("BTC",), tenor_days=TENORS[::-1], nodes=NODES)
    with pytest.raises(UnknownInstrument):
        layout().start("SOL")
    with pytest.raises(DataError, match="not a shock of 0"):
        ScenarioSet(layout=layout(), horizon_ns=0, values=np.full((2, 19), np.nan))
    with pytest.raises(DataError, match="sum to 1"):
        ScenarioSet(layout=layout(), horizon_ns=0, values=np.zeros((2, 19)), weights=np.ones(2))
    rng = np.random.default_rng(7)
    other = series(rng, underlying="ETH")
    moved = type(other)(**{**other.__dict__, "nodes": NODES * 1.1})
    with pytest.raises(ConfigError, match="same tenors"):
        shock_history({"BTC": series(rng), "ETH": moved})
