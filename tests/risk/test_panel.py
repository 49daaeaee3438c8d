from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import NS_PER_DAY
from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.market import read_chains
from ivhedge.risk.panel import PanelStatus, build_panel, fit_history, panel_point
from ivhedge.surface.quoting import smile_quotes

from ._stub import NOW, StubSurface

# Expiries of the stub: 7, 30 and 90 days.
TENORS = (3.0, 7.0, 20.0, 30.5, 90.0, 120.0)
SURFACE = StubSurface(skew=-0.1, carry=0.06)


def test_nodes_are_standard_deviations_of_the_smile():
    point = panel_point(SURFACE, None, None, (7.0, 30.0), (-1.0, 0.0, 2.0))
    tau = np.array([7.0, 30.0]) / 365
    k = np.array([-1.0, 0.0, 2.0]) * (0.5 * np.sqrt(tau))[:, None]
    np.testing.assert_allclose(point.vols, 0.5 - 0.1 * k, rtol=1e-13)
    np.testing.assert_allclose(point.forward_rate, 0.06, rtol=1e-9)
    assert point.spot == 80_000.0


def test_status_and_no_extrapolation():
    point = panel_point(SURFACE, None, None, TENORS)
    observed, between, missing = PanelStatus.OBSERVED, PanelStatus.INTERPOLATED, PanelStatus.MISSING
    assert point.status.tolist() == [missing, observed, between, observed, observed, missing]
    assert np.isnan(point.vols[[0, -1]]).all()
    assert np.isnan(point.forward_rate[[0, -1]]).all()
    assert np.isfinite(point.vols[1:-1]).all()
    assert all(PanelStatus(code).describe() for code in range(3))


def test_a_hole_in_the_surface_is_missing_and_not_nan_under_another_name():
    class Holes(StubSurface):
        def implied_vol(self, log_moneyness, tau):
            vol = super().implied_vol(log_moneyness, tau)
            return np.where(np.asarray(tau) > 0.15, np.nan, vol)

    panel = build_panel([Holes()], tenor_days=(30.0, 90.0))
    assert panel.status[0].tolist() == [PanelStatus.OBSERVED, PanelStatus.MISSING]


def test_panel_sorts_by_time_and_keeps_what_belongs_together():
    later = StubSurface(ts_ns=NOW + NS_PER_DAY, level=0.6, spot=81_000.0)
    panel = build_panel([later, SURFACE], tenor_days=(10.0, 30.0), funding=[0.2, 0.1])
    assert panel.ts_ns.tolist() == [NOW, NOW + NS_PER_DAY]
    assert panel.spot.tolist() == [80_000.0, 81_000.0]
    assert panel.funding.tolist() == [0.1, 0.2]
    assert panel.atm_vols[:, 0].tolist() == [0.5, 0.6]
    assert panel.rows(slice(1, None)).spot.tolist() == [81_000.0]
    given_spots = build_panel([later, SURFACE], tenor_days=(10.0,), spots=[90.0, 91.0])
    assert given_spots.spot.tolist() == [91.0, 90.0]


@given(level=st.floats(0.1, 3.0), scale=st.floats(0.5, 2.0))
@settings(max_examples=20, deadline=None)
def test_a_flat_surface_gives_its_vol_everywhere(level, scale):
    panel = build_panel([StubSurface(level=level, spot=80_000 * scale)], tenor_days=(7.0, 40.0))
    np.testing.assert_allclose(panel.vols, level, rtol=1e-12)


def test_bad_input():
    with pytest.raises(EmptyData, match="found none"):
        build_panel([])
    with pytest.raises(DataError, match="one underlying"):
        build_panel([SURFACE, StubSurface(underlying="ETH", ts_ns=NOW + 1)])
    with pytest.raises(DataError, match="ascending"):
        build_panel([SURFACE, SURFACE], tenor_days=(30.0,))
    with pytest.raises(ConfigError, match="node 0"):
        panel_point(SURFACE, None, None, (30.0,), (-1.0, 1.0))
    with pytest.raises(ConfigError, match="ascending"):
        panel_point(SURFACE, None, None, (30.0, 7.0))
    with pytest.raises(DataError, match="positive spot"):
        panel_point(SURFACE, 0.0)
    with pytest.raises(DataError, match="one spot per surface"):
        build_panel([SURFACE], spots=[])
    with pytest.raises(DataError, match="funding"):
        build_panel([SURFACE], funding=[0.1, 0.2])
    panel = build_panel([SURFACE], tenor_days=(30.0,))
    with pytest.raises(DataError, match="funding"):
        replace(panel, funding=np.array([np.nan]))
    with pytest.raises(DataError, match="not missing"):
        replace(panel, vols=np.full(panel.vols.shape, np.nan))
    with pytest.raises(DataError, match="shape"):
        replace(panel, spot=np.zeros(2))


@pytest.mark.recorded
def test_recorded_chains(recorded):
    chains = read_chains(recorded / "deribit_chains" / "BTC" / "2026-01.parquet").partition_by(
        "ts", maintain_order=True
    )[:5]
    broken = chains[2].head(3)
    history = fit_history([*chains[:2], broken, *chains[3:]])
    assert len(history.surfaces) == 4
    assert history.refused[0][0] == int(broken["ts"].dt.epoch("ns").min())
    panel = build_panel(history.surfaces)
    assert (panel.status != PanelStatus.MISSING).all()
    quotes = smile_quotes(history.surfaces[0], panel.taus)
    np.testing.assert_allclose(panel.atm_vols[0], quotes.atm_vol, rtol=1e-12)
    assert np.ptp(panel.spot) / panel.spot.mean() < 0.1
