"""Biases of venues in the player: found, shown, taken off."""

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.engine.streaming import PlaySettings
from tests.engine.streaming._bed import T0, S, digests, frames, minute, tape
from tests.surface.stream._bed import truth, vols

VENUES = ("a", "b", "c")
LEVEL = {"a": 0.0, "b": 0.02, "c": -0.01}


@pytest.fixture(scope="module")
def played():
    rng = np.random.default_rng(3)
    parts = [minute(rng, venue=v, seconds=20, error=LEVEL[v]) for v in VENUES]
    return tape(*parts, venues=VENUES)


def off(frame):
    return float(np.sqrt(np.mean((vols(frame.snapshot.surface) - vols(truth(ts_ns=frame.ts_ns))) ** 2)))


def test_biases_are_found_shown_and_taken_off(played):
    plain = frames(played, every_s=5.0)
    better = frames(played, every_s=5.0, fuse_every_s=5.0, anchor="a")
    last = max((f for f in better if f.ts_ns <= T0 + 25 * S), key=lambda f: f.ts_ns)
    same = next(f for f in plain if f.ts_ns == last.ts_ns)
    found = {v.name: v.health for v in last.venues}
    for name, level in LEVEL.items():
        assert found[name].level_bias == pytest.approx(level, abs=1e-3)
        assert found[name].state == "live"
    assert off(last) < 1e-3 < off(same)
    assert all(v.health is None for v in same.venues)


def test_the_same_at_any_speed(played):
    settings = {"every_s": 2.0, "fuse_every_s": 6.0, "anchor": "a"}
    assert digests(frames(played, speed=10.0, **settings)) == digests(frames(played, **settings))


def test_an_estimate_that_fails_leaves_the_surface_and_says_why():
    rng = np.random.default_rng(4)
    shown = frames(tape(minute(rng)), every_s=5.0, fuse_every_s=5.0, anchor="nobody")
    assert shown[-1].status == "certified"
    broken = [f for f in shown if f.note]
    assert broken or all(v.health is not None for f in shown[1:] for v in f.venues)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_settings_refuse_nonsense(wrong):
    with pytest.raises(ConfigError, match="fuse_every_s"):
        PlaySettings(fuse_every_s=wrong)
