import numpy as np
import pytest

from ivhedge.core.units import NS_PER_HOUR
from ivhedge.risk.attribution import SURFACE_PARTS, surface_move

from ._book import T0, surface

T1 = T0 + NS_PER_HOUR // 60


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"level": 0.53}, (0.03, 0.0, 0.0, 0.0)),
        ({"term": -0.01}, (0.0, -0.01, 0.0, 0.0)),
        ({"skew": -0.04}, (0.0, 0.0, -0.01, 0.0)),
        ({"curvature": 0.03}, (0.0, 0.0, 0.0, 0.01)),
    ],
)
def test_each_part_of_a_known_move_is_found(change, expected):
    # Flat term structure, so that a standard deviation at the money is the one the smile is written in.
    base = {"term": 0.0, "level": 0.5, "skew": -0.03, "curvature": 0.02}
    found = surface_move(surface(T0, **base), surface(T1, **base | change)).coefficients
    assert found == pytest.approx(expected, abs=1e-4)


def test_parts_at_a_point_add_up_to_the_move_and_stop_growing_in_the_wings():
    before, after = surface(T0, term=0.0), surface(T1, term=0.0, level=0.55, skew=-0.05)
    move = surface_move(before, after)
    tau = np.array([30 / 365])
    near = move.parts(np.array([0.05]), tau)
    assert near.shape == (len(SURFACE_PARTS), 1)
    seen = after.implied_vol(0.05, tau) - before.implied_vol(0.05, tau)
    assert near.sum() == pytest.approx(float(seen[0]), abs=2e-4)
    assert move.parts(np.array([3.0]), tau) == pytest.approx(move.parts(np.array([5.0]), tau))


def test_without_two_surfaces_or_a_common_expiry_nothing_moves():
    for start, end in ((None, surface(T1)), (surface(T0), None)):
        move = surface_move(start, end)
        assert move.coefficients.tolist() == [0.0] * 4
        assert np.abs(move.parts(np.zeros(3), np.full(3, 0.1))).max() == 0.0
    later = surface(T1)
    alone = type(later)(ts_ns=T1, expiries=np.array([T1 + 10**15]))
    assert surface_move(surface(T0), alone).coefficients.tolist() == [0.0] * 4


def test_one_common_expiry_has_no_term_part():
    def only(ts_ns, **values):
        full = surface(ts_ns, **values)
        fields = {n: getattr(full, n) for n in full.__slots__}
        return type(full)(**fields | {"expiries": full.expiries[-1:]})

    found = surface_move(only(T0, term=0.0), only(T1, term=0.0, level=0.52)).coefficients
    assert found[1] == 0.0
    assert found[0] == pytest.approx(0.02, abs=1e-3)
