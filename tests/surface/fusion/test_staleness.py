"""Silent, stale and absent venues in a stream of seconds."""

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.surface.fusion import StaleDetector, StaleSettings, VenueState

NAMES = ("anna", "bert", "cora")
SECOND = 1_000_000_000


def stream(seed: int, seconds: int, *, update: float = 0.3, step: float = 2e-4) -> list[dict]:
    """Vols of 20 instruments: a common walk; each quote is renewed with some probability a second."""
    rng = np.random.default_rng(seed)
    level = 0.6 + np.cumsum(step * rng.standard_normal(seconds))
    shown = {name: np.full(20, 0.6) for name in NAMES}
    tape = []
    for t in range(seconds):
        for name in NAMES:
            renew = rng.random(20) < update
            shown[name] = np.where(renew, level[t] + 5e-4 * rng.standard_normal(20), shown[name])
        tape.append({name: dict(enumerate(shown[name].tolist())) for name in NAMES})
    return tape


def test_healthy_venues_raise_no_alarm() -> None:
    for seed in range(3):
        detector = StaleDetector()
        for t, snapshot in enumerate(stream(seed, 200)):
            watch = detector.update(t * SECOND, snapshot)
            assert all(w.state is VenueState.LIVE for w in watch.values()), (seed, t, watch)


@pytest.mark.parametrize("venue", NAMES)
def test_frozen_venue_is_flagged_within_ten_seconds_and_comes_back(venue: str) -> None:
    tape = stream(7, 160)
    frozen = tape[100][venue]
    detector = StaleDetector()
    flagged = []
    for t, snapshot in enumerate(tape):
        if 100 < t <= 130:
            snapshot = {**snapshot, venue: frozen}
        detector.update(t * SECOND, snapshot)
        flagged.append(detector.flagged())
    assert not any(flagged[:101])
    assert flagged[110] == (venue,)
    assert all(names == (venue,) for names in flagged[110:131])
    assert flagged[-1] == ()


def test_rarely_moving_venue_is_caught_by_what_the_others_do() -> None:
    tape = stream(3, 140, update=0.01, step=0.0)
    detector = StaleDetector()
    for t, snapshot in enumerate(tape):
        if t > 120:  # the others jump by two vol points, bert only flickers
            snapshot = {
                name: {k: x + (0.02 if name != "bert" else 1e-4 * (t % 2)) for k, x in quotes.items()}
                for name, quotes in snapshot.items()
            }
        watch = detector.update(t * SECOND, snapshot)
    assert watch["bert"].state is VenueState.STALE
    assert watch["anna"].state is VenueState.LIVE
    assert watch["bert"].since_ns <= 125 * SECOND


def test_absent_venue() -> None:
    detector = StaleDetector()
    tape = stream(1, 40)
    for t, snapshot in enumerate(tape):
        watch = detector.update(t * SECOND, {k: v for k, v in snapshot.items() if t < 30 or k != "cora"})
    assert watch["cora"].state is VenueState.ABSENT
    assert watch["cora"].since_ns == 30 * SECOND
    assert detector.flagged() == ("cora",)


def test_bad_input() -> None:
    detector = StaleDetector()
    detector.update(5, {"a": {1: float("nan"), 2: 0.5}})
    with pytest.raises(DataError, match="after 5"):
        detector.update(5, {})
    with pytest.raises(ConfigError):
        StaleSettings(windows_s=())


def test_values_that_are_no_numbers_are_no_quotes() -> None:
    detector = StaleDetector()
    nan = dict.fromkeys(range(20), float("nan"))
    for t, snapshot in enumerate(stream(1, 60)):
        watch = detector.update(t * SECOND, snapshot if t < 50 else {**snapshot, "bert": nan})
    assert watch["bert"].state is VenueState.ABSENT
    assert np.isfinite(watch["bert"].gap_sigmas)
    assert watch["anna"].state is VenueState.LIVE


def test_a_refused_snapshot_changes_nothing() -> None:
    tape = stream(2, 80)
    plain, bothered = StaleDetector(), StaleDetector()
    for t, snapshot in enumerate(tape):
        one = plain.update(t * SECOND, snapshot)
        two = bothered.update(t * SECOND, snapshot)
        for late in (t, t - 5):
            with pytest.raises(DataError, match="drop duplicates and late ones"):
                bothered.update(late * SECOND, {"anna": {1: 9.0}})
        assert one == two


@pytest.mark.parametrize("shift", [-0.3, 0.02])
def test_a_level_of_its_own_is_no_staleness(shift: float) -> None:
    detector = StaleDetector()
    for t, snapshot in enumerate(stream(5, 150)):
        snapshot = {**snapshot, "cora": {k: x + shift for k, x in snapshot["cora"].items()}}
        watch = detector.update(t * SECOND, snapshot)
        assert watch["cora"].state is VenueState.LIVE


def test_of_two_venues_only_silence_is_judged() -> None:
    detector = StaleDetector()
    for t, snapshot in enumerate(stream(6, 130)):
        pair = {name: snapshot[name] for name in ("anna", "bert")}
        if t > 100:
            pair["bert"] = dict.fromkeys(pair["bert"], 0.6 + 1e-4 * (t % 2))
            pair["anna"] = {k: x + 0.05 for k, x in pair["anna"].items()}
        watch = detector.update(t * SECOND, pair)
    assert watch["bert"].state is VenueState.LIVE  # with one other, nobody knows which is wrong
    assert watch["bert"].gap_sigmas == 0.0


def test_the_clock_alone_is_no_sign_of_life() -> None:
    """A standing price's vol creeps up as the expiry comes nearer: 3e-6 a second at one day."""
    detector = StaleDetector()
    for t, snapshot in enumerate(stream(8, 120)):
        if t > 60:
            snapshot = {**snapshot, "cora": dict.fromkeys(snapshot["cora"], 0.6 + 3e-06 * (t - 60))}
        watch = detector.update(t * SECOND, snapshot)
    assert watch["cora"].state is not VenueState.LIVE
    assert watch["cora"].silent_s >= 55.0
