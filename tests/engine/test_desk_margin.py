"""Margin of a desk's book: whose positions count, and what of a stress a margin can show."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.app.showcase import showcase_book
from ivhedge.core.errors import ConfigError
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.engine.desk import open_desk
from ivhedge.engine.desk_margin import _vol_after, desk_margin
from ivhedge.risk.margin import load_margin_profile
from ivhedge.risk.stress import StressCatalogue, load_catalogue

PROFILE = replace(load_margin_profile("deribit_pm_btc"), venue="aurora")


@pytest.fixture(scope="module")
def desk(looks):
    return open_desk(looks[0], showcase_book())


def _moved(desk, venue):
    """The desk with the first position held at another venue."""
    first, *rest = desk.book.positions
    there = replace(first, instrument=replace(first.instrument, venue=venue))
    return replace(desk, book=replace(desk.book, positions=(there, *rest)))


def test_positions_elsewhere_are_named_and_not_netted(desk):
    whole = desk_margin(desk, PROFILE, load_catalogue())
    split = desk_margin(_moved(desk, "borealis"), PROFILE, load_catalogue())
    alone = replace(desk, book=replace(desk.book, positions=desk.book.positions[1:]))
    assert split.now.initial == desk_margin(alone, PROFILE, load_catalogue()).now.initial
    (note,) = [n for n in split.notes if n.startswith("not margined")]
    assert "borealis:" in note
    assert not [n for n in whole.notes if "margined" in n]
    with pytest.raises(ConfigError, match="margin each venue apart"):
        desk_margin(_moved(desk, "borealis"), replace(PROFILE, venue="okx"), load_catalogue())


def test_another_venues_rules_on_the_whole_book_are_said_to_be_that(desk):
    seen = desk_margin(desk, load_margin_profile("deribit_pm_btc"), load_catalogue())
    assert "positions at aurora margined as if they were held at deribit" in seen.notes


def test_stresses_move_each_tenor_by_its_own_shift(desk):
    catalogue = load_catalogue()
    (crash,) = [s for s in catalogue.stresses if s.name == "march_2020"]
    seen = desk_margin(desk, PROFILE, StressCatalogue(as_of=catalogue.as_of, stresses=(crash,)))
    # Flat in tenor at the 30-day shift, as a margin that knows one vol move would have it.
    flat = replace(crash, vol=replace(crash.vol, power=0.0))
    same = desk_margin(desk, PROFILE, StressCatalogue(as_of=catalogue.as_of, stresses=(flat,)))
    assert seen.stressed["march_2020"].equity[0] != same.stressed["march_2020"].equity[0]
    tau, vol = np.array([7.5, 30.0, 120.0]) / DAYS_PER_YEAR, np.full(3, 0.5)
    points = crash.vol.points_30d / 100.0
    scale = np.array([4.0, 1.0, 0.25]) ** crash.vol.power
    np.testing.assert_allclose(_vol_after(crash.vol, tau, vol), 0.5 + points * scale)


def test_what_a_margin_cannot_show_is_named(desk):
    catalogue = load_catalogue()
    seen = desk_margin(desk, PROFILE, catalogue)
    shown, notes = set(seen.stressed), " ".join(seen.notes)
    for stress in catalogue.stresses:
        assert stress.name in shown or stress.name in notes, stress.name
    assert "usdc_at_090" in notes
