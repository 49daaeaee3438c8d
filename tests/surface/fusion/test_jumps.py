"""Biases that jump are followed at once, and move nobody else."""

from collections.abc import Callable, Collection

import numpy as np
import pytest

from ivhedge.surface import essvi_total_variance
from ivhedge.surface.fusion import FusedSurface, FusionSettings, VenueQuotes, fuse, venue_health
from tests.surface.stream._bed import PER, T0, truth, universe

SECOND = 1_000_000_000
VENUES = ("a", "b", "c", "d", "e")
BIAS = np.array([0.0, 0.0, -0.003, 0.004, 0.006])
HALF = np.array([0.004, 0.006, 0.008, 0.01, 0.02])
JUMP = 4


def snapshot(ts: int, bias: np.ndarray, rng: np.random.Generator, present: Collection[int]) -> VenueQuotes:
    market, t, e = universe(), truth(), np.arange(4 * PER) // PER
    k = np.log(market.strike / 90_000.0)
    vol = np.sqrt(essvi_total_variance(k, t.theta[e], t.rho[e], t.psi[e]) / t.taus[e])
    mid = np.concatenate([vol + bias[v] + rng.normal(0.0, 0.25 * HALF[v], vol.size) for v in present])
    half = np.repeat(HALF[list(present)], vol.size)
    return VenueQuotes.from_arrays(
        ts_ns=ts, underlying="BTC", venue=np.repeat([VENUES[v] for v in present], vol.size).tolist(),
        expiry_ns=np.tile(market.expiry_ns, len(present)), log_moneyness=np.tile(k, len(present)),
        bid_vol=mid - half, ask_vol=mid + half,
    )  # fmt: skip


def run(
    jump: Callable[[int], np.ndarray], present: Collection[int] = range(5), anchor: str | None = None
) -> list[FusedSurface]:
    rng, found = np.random.default_rng(1), []
    for i in range(JUMP + 4):
        quotes = snapshot(T0 + 10 * i * SECOND, BIAS + jump(i), rng, present)
        model = found[-1].model if found else None
        found.append(fuse(quotes, model, settings=FusionSettings(anchor=anchor)))
    return found


def off(fused: FusedSurface) -> float:
    t = truth()
    vols = [float(fused.fit.surface.implied_vol(0.0, tau)) for tau in t.taus.tolist()]
    return float(np.abs(np.array(vols) - np.sqrt(t.theta / t.taus)).max())


@pytest.mark.parametrize("who", [(0,), (1,), (2,), (4,), (0, 1)])
def test_a_jump_is_followed_at_once_and_moves_nobody_else(who: tuple[int, ...]) -> None:
    moved = np.isin(np.arange(5), who)
    size = 3.0 * HALF.max()
    found = run(lambda i: size * moved * (i >= JUMP))
    assert [fused.jumped for fused in found[:JUMP]] == [()] * JUMP
    assert found[JUMP].jumped == tuple(VENUES[v] for v in who)
    before, after = venue_health(found[JUMP - 1]), venue_health(found[JUMP])
    for v, name in enumerate(VENUES):
        low, high = after[name].level_interval or (0.0, 0.0)
        if moved[v]:
            assert after[name].jumped
            assert after[name].level_bias == pytest.approx(BIAS[v] + size, abs=0.15 * size)
            assert high - low > 2e-4
        else:
            assert after[name].level_bias == pytest.approx(before[name].level_bias, abs=3e-4)
    assert off(found[JUMP]) < 1.5e-3
    last = venue_health(found[-1])
    for v in who:
        low, high = last[VENUES[v]].level_interval or (0.0, 0.0)
        assert low - 2e-3 < BIAS[v] + size < high + 2e-3


def test_the_anchor_is_right_by_definition_and_its_jump_is_no_part_of_the_surface() -> None:
    found = run(lambda i: 0.02 * (np.arange(5) == 0) * (i >= JUMP), anchor="a")
    health = venue_health(found[-1])
    assert health["a"].level_bias == 0.0
    assert off(found[-1]) < 1.5e-3
    assert health["a"].share < 0.01


def test_a_venue_that_misses_a_common_move_and_catches_up_is_followed_both_ways() -> None:
    missing = lambda i: -0.03 * (np.arange(5) == 2) * (JUMP <= i < JUMP + 2)  # noqa: E731
    found = run(missing)
    assert [fused.jumped for fused in found] == [()] * JUMP + [("c",), (), ("c",), ()]
    assert venue_health(found[-1])["c"].level_bias == pytest.approx(BIAS[2], abs=2e-3)


def test_chance_is_no_jump() -> None:
    assert all(fused.jumped == () for fused in run(lambda i: 0.1 * HALF * np.sin(i + np.arange(5))))
