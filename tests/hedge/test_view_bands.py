from types import SimpleNamespace

import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.forecast.view import VegaTarget, VolView
from ivhedge.hedge.limits import Numeraire
from ivhedge.hedge.view_bands import view_bands

VIEW = VolView(
    ts_ns=0,
    underlying="BTC",
    targets=(
        VegaTarget(min_days=7, max_days=21, vega_usd=500.0, net_points=1.0, sd_points=3.0, reason="long"),
        VegaTarget(min_days=21, max_days=60, vega_usd=-80.0, net_points=1.0, sd_points=3.0, reason="short"),
    ),
    expectation=SimpleNamespace(),
)


def test_bands_lie_around_the_targets():
    first, second = view_bands(VIEW, half_width_usd=50.0, numeraire=Numeraire.USD)
    assert (first.min_days, first.max_days) == (7, 21)
    assert (first.band.lower, first.band.target, first.band.upper) == (450.0, 500.0, 550.0)
    assert second.band.target == -80.0
    coin = view_bands(VIEW, half_width_usd=50.0, index=100_000.0)[0]
    assert coin.band.target == pytest.approx(0.005)
    assert coin.band.upper == pytest.approx(0.0055)


@pytest.mark.parametrize("changes", [{"half_width_usd": -1.0}, {"index": None}, {"index": float("nan")}])
def test_bands_need_a_width_and_in_coin_an_index(changes):
    with pytest.raises(ConfigError):
        view_bands(VIEW, **({"half_width_usd": 1.0, "index": 1.0} | changes))
