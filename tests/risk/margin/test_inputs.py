from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, StaleQuote, UnknownInstrument
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.risk.legs import price_legs
from ivhedge.risk.margin import (
    CONSERVATIVE_VOL,
    Account,
    Collateral,
    available_margin_profiles,
    evaluate,
    load_margin_profile,
    margin,
    parse_margin_profile,
    positions_from_legs,
    prepare_margin,
)

from .._stub import NOW, StubSurface, option, perpetual
from ._books import DAY, model_of, universe

STANDARD = """
name = "mine"
venue = "here"
model = "standard"
kernel = "standard"
currency = "USDC"
valid_from = 2026-01-01
valid_to = 2026-12-31
source = "me"
public = true

[standard]
initial_max = 0.15
initial_min = 0.10
maintenance_max = 0.075
maintenance_min = 0.075
put_mark = 0.075
"""


def one(field, value, where=0, **kwargs):
    positions = universe(**kwargs)
    array = getattr(positions, field).copy()
    array[where] = value
    return replace(positions, **{field: array})


def prepare(positions, name="derive_pm2", **kwargs):
    return prepare_margin(positions, load_margin_profile(name), on=DAY, **kwargs)


@pytest.mark.parametrize("name", available_margin_profiles())
def test_shipped_profiles_load_and_say_what_is_not_public(name):
    profile = load_margin_profile(name)
    assert profile.source
    assert profile.public or profile.assumed
    profile.check_date(DAY)


@pytest.mark.parametrize("on", [date(2025, 12, 31), date(2027, 1, 1)])
def test_profile_outside_its_dates(on):
    profile = parse_margin_profile(STANDARD, source="test")
    with pytest.raises(ConfigError, match="write a profile with new dates"):
        prepare_margin(universe(futures=False), profile, on=on)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("initial_max = 0.15", "inital_max = 0.15", "check the spelling"),
        ('venue = "here"', 'venue = "here"\ncolour = "red"', "check the spelling"),
        ("put_mark = 0.075", "", "never assumed"),
        ("put_mark = 0.075", "put_mark = nan", "finite number"),
        ("put_mark = 0.075", "put_mark = true", "finite number"),
        ("valid_to = 2026-12-31", "valid_to = 2025-12-31", "valid_from"),
        ("valid_to = 2026-12-31", 'valid_to = "soon"', "expected a date"),
        ("public = true", "public = false", "not public"),
        ("public = true", "", "expected bool"),
        ('kernel = "standard"', 'kernel = "magic"', "expected kernel"),
        ("[standard]", "[standard", "expected TOML"),
    ],
)
def test_bad_profiles(old, new, message):
    with pytest.raises(ConfigError, match=message):
        parse_margin_profile(STANDARD.replace(old, new), source="test")


def test_scenario_profile_needs_its_tables():
    head = STANDARD.split("[standard]")[0].replace('kernel = "standard"', 'kernel = "scenario"')
    with pytest.raises(ConfigError, match="grid"):
        parse_margin_profile(head, source="test")
    grid = '\n[[grid]]\nspot = [0.0]\nvol = ["linear"]\n[vol_shock]\nup = 0.1\ndown = 0.1\n'
    with pytest.raises(ConfigError, match="skew"):
        parse_margin_profile(head + grid, source="test")
    with pytest.raises(ConfigError, match="dampening"):
        parse_margin_profile(head + grid.replace("spot", "dampening = [1.0, 2.0]\nspot"), source="test")


def test_unknown_profile_and_underlying():
    with pytest.raises(ConfigError, match="write your own"):
        load_margin_profile("mtgox")
    with pytest.raises(ConfigError, match="underlying"):
        prepare(replace(universe(), underlying="DOGE"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", np.nan),
        ("size", np.inf),
        ("forward", np.nan),
        ("forward", 0.0),
        ("strike", np.nan),
        ("strike", -1.0),
        ("tau", 0.0),
        ("tau", np.nan),
        ("rate", np.nan),
        ("vol", np.nan),
        ("vol", 0.0),
        ("mark", np.nan),
        ("mark", -1.0),
        ("confidence", np.nan),
        ("kind", 7),
    ],
)
def test_unusable_positions_are_refused_by_name(field, value):
    with pytest.raises(DataError, match="o0"):
        prepare(one(field, value))


@pytest.mark.parametrize("field", ["size", "forward", "strike", "tau"])
def test_conservative_marks_do_not_cover_everything(field):
    with pytest.raises(DataError):
        prepare(one(field, np.nan), conservative=True)


def test_old_marks():
    with pytest.raises(StaleQuote, match="refresh"):
        prepare(one("age_s", 61.0), max_age_s=60.0)
    assert prepare(one("age_s", 61.0), max_age_s=60.0, conservative=True).status == "conservative"
    with pytest.raises(StaleQuote):
        prepare(one("age_s", np.nan), max_age_s=60.0)
    with pytest.raises(StaleQuote):
        prepare(one("age_s", 61.0, where=-1), max_age_s=60.0, conservative=True)


@pytest.mark.parametrize("name", ["derive_pm2", "derive_srm"])
def test_a_lost_vol_never_lowers_the_margin(name):
    for size in (-3.0, 3.0):
        good = one("size", size, futures=False)
        sizes = np.zeros(len(good.names))
        sizes[0] = size
        good = replace(good, size=sizes)
        lost = replace(
            good, vol=np.where(sizes != 0, np.nan, good.vol), mark=np.where(sizes != 0, np.nan, good.mark)
        )
        usual, worst = margin(prepare(good, name)), margin(prepare(lost, name, conservative=True))
        assert worst.status == "conservative"
        assert any(str(CONSERVATIVE_VOL) in note for note in worst.notes)
        assert worst.maintenance_excess <= usual.maintenance_excess + 1e-9
        if size < 0:
            assert worst.initial > usual.initial > 0


def test_a_lost_vol_is_implied_by_the_mark_and_the_other_way_round():
    usual = margin(prepare(universe()))
    for field in ("vol", "mark"):
        result = margin(prepare(one(field, np.nan), conservative=True))
        assert result.status == "conservative"
        assert result.initial == pytest.approx(usual.initial, rel=1e-9)


def test_mixed_settlement_and_futures_without_rule():
    with pytest.raises(DataError, match="margin each currency apart"):
        prepare(one("is_inverse", True))
    with pytest.raises(ConfigError, match="found inverse"):
        prepare(universe(inverse=True))
    with pytest.raises(ConfigError, match="margin futures under their own profile"):
        prepare(universe(), "binance")


def test_one_instrument_has_one_mark():
    positions = universe()
    with pytest.raises(DataError, match="per instrument"):
        prepare(replace(positions, names=("o1", *positions.names[1:])))


def test_sizes_and_accounts():
    model = model_of("derive_pm2")
    with pytest.raises(DataError, match="NaN"):
        evaluate(model, np.full((2, 9), np.nan))
    with pytest.raises(DataError, match="shape"):
        evaluate(model, np.zeros((2, 3)))
    with pytest.raises(DataError, match="cash"):
        evaluate(model, np.zeros((2, 9)), cash=[0.0, np.nan])
    with pytest.raises(DataError, match="one book"):
        margin(model, None, np.zeros((2, 9)))
    with pytest.raises(DataError, match="account"):
        Account(cash=np.nan)
    with pytest.raises(DataError, match="collateral"):
        Collateral(name="ETH", amount=np.nan, price=1.0)
    with pytest.raises(UnknownInstrument, match="nothing"):
        model.positions.sizes_of({"nothing": 1.0})
    with pytest.raises(DataError, match="finite"):
        model.positions.sizes_of({"o1": np.nan})


def test_legs_of_a_book():
    held = (option(30, "80000"), perpetual())
    book = Book(
        "test", tuple(Position(item, q) for item, q in zip(held, _decimals("-2", "1000"), strict=True))
    )
    pairs = [(p.instrument, p.quantity) for p in book.positions]
    legs = price_legs(pairs, {"BTC": StubSurface()}, NOW)
    positions = positions_from_legs(legs, "BTC", 80_000.0)
    assert positions.size[1] == pytest.approx(legs.size[1] / legs.forward[1])
    model = prepare_margin(positions, load_margin_profile("deribit_pm_btc"), on=DAY)
    assert margin(model, Account(cash=1.0)).initial > 0.0
    with pytest.raises(UnknownInstrument):
        positions_from_legs(price_legs(pairs, {}, NOW), "BTC", 80_000.0)


def test_venues_do_not_net_and_old_surfaces_have_an_age():
    long = perpetual()
    short = replace(long, venue="okx")
    legs = price_legs([(long, Decimal(1000)), (short, Decimal(-1000))], {"BTC": StubSurface()}, NOW)
    with pytest.raises(ConfigError, match=r"one venue, found \['deribit', 'okx'\]"):
        positions_from_legs(legs, "BTC", 80_000.0)
    for venue, sign in (("deribit", 1.0), ("okx", -1.0)):
        mine = positions_from_legs(legs, "BTC", 80_000.0, venue=venue)
        assert np.sign(mine.size).tolist() == [sign]
    old = positions_from_legs(legs, "BTC", 80_000.0, venue="deribit", age_s=61.0)
    profile = load_margin_profile("deribit_pm_btc")
    with pytest.raises(StaleQuote, match="61"):
        prepare_margin(old, profile, on=DAY, max_age_s=60.0)
    assert prepare_margin(old, profile, on=DAY, max_age_s=61.0)


def _decimals(*texts):
    return [Decimal(t) for t in texts]
