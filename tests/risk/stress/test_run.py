from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import Money, currency
from ivhedge.core.errors import ConfigError, DataError, EmptyData, UnknownInstrument
from ivhedge.core.instruments import Settlement
from ivhedge.core.units import NS_PER_DAY
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import black76_price
from ivhedge.risk import exposures
from ivhedge.risk.marks import ConservativeMarks
from ivhedge.risk.scenarios import scenario_pnl, skew_shape
from ivhedge.risk.stress import StressCatalogue, load_catalogue, parse_catalogue, run_stress
from ivhedge.surface.dynamics import StickyMoneyness

from .._stub import NOW, StubSurface, option, perpetual

BTC = StubSurface(skew=-0.2, carry=0.05)
ETH = StubSurface(underlying="ETH", spot=3_000.0, level=0.7)
SURFACES = {"BTC": BTC, "ETH": ETH}
CATALOGUE = load_catalogue()
LEGS = (
    (option(2, "74000", False), "-2"),
    (option(30, "84000"), "-3"),
    (option(90, "80000", coin=False, venue="okx"), "4"),
    (perpetual(), "-900"),
    (perpetual(coin=False, venue="okx"), "9000"),
    (option(30, "3000", underlying="ETH"), "10"),
)


def book_of(*legs, cash=()):
    money = tuple(Money.from_exact(Decimal(amount), currency(code)) for code, amount in cash)
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs), money)


BOOK = book_of(*LEGS, cash=(("BTC", "2"), ("USDC", "50000")))


def stress(body, **kwargs):
    text = f'as_of = 2026-01-01\n[[stress]]\nname = "x"\ntitle = "X"\nkind = "hypothetical"\n{body}\n'
    return run_stress(
        kwargs.pop("book", BOOK),
        kwargs.pop("surfaces", SURFACES),
        parse_catalogue(text, source="test"),
        NOW,
        **kwargs,
    )["x"]


def test_nothing_shocked_nothing_lost():
    found = stress("")
    assert found.pnl_usd == 0.0
    assert found.legs["pnl_coin"].abs().sum() == 0.0
    values = sum(exposures(BOOK, SURFACES, ts_ns=NOW).total(name)["value_usd"] for name in SURFACES)
    assert found.equity_before_usd == pytest.approx(values + 2 * 80_000 + 50_000)
    assert found.equity_after_usd == found.equity_before_usd


def test_every_leg_is_revalued_in_its_shocked_state():
    found = stress(
        "days = 3\nspot = { BTC = -0.3, ETH = -0.4, other = -0.9 }\n"
        "vol = { points_30d = 20, power = 0.5, min_days = 7 }\nskew = { points = -10 }"
    )
    rows = {row["instrument"]: row for row in found.legs.iter_rows(named=True)}
    for leg, quantity in LEGS:
        surface, move = SURFACES[leg.underlying], {"BTC": -0.3, "ETH": -0.4}[leg.underlying]
        row, size = rows[leg.key], float(quantity) * float(leg.multiplier)
        if not leg.is_option:
            profit = size * move if leg.is_inverse else size * 80_000 * move
            assert row["pnl_usd"] == pytest.approx(profit, rel=1e-12)
            assert row["pnl_coin"] == pytest.approx(profit / (80_000 * (1 + move)), rel=1e-12)
            continue
        tau, strike = leg.tau(NOW), float(leg.strike)
        left, forward = max(tau - 3 / 365, 0.0), float(surface.forward(tau))
        after, k = forward * (1 + move), np.log(strike / forward)
        vol = float(surface.implied_vol(k, left))
        shape = float(skew_shape(after, strike, left, vol))
        vol = vol - 0.1 * shape + 0.2 * (30 / max(left * 365, 7.0)) ** 0.5
        before = float(black76_price(forward, strike, tau, surface.implied_vol(k, tau), leg.is_call))
        price = float(black76_price(after, strike, left, vol, leg.is_call))
        assert row["vol_after"] == pytest.approx(vol, rel=1e-12)
        if leg.is_inverse:  # coins, at the index
            price, before = price * surface.spot / forward, before * surface.spot / forward
        coins = price / (surface.spot * (1 + move)) - before / surface.spot
        assert row["pnl_usd"] == pytest.approx(size * (price - before), rel=1e-9)
        assert row["pnl_coin"] == pytest.approx(size * coins, rel=1e-9)
    assert found.collateral_usd == pytest.approx(-0.3 * 160_000)
    assert found.equity_after_usd == pytest.approx(found.equity_before_usd + found.pnl_usd)
    assert found.equity_after_coin["BTC"] == pytest.approx(found.equity_after_usd / 56_000)


@pytest.mark.parametrize("rule", [None, StickyMoneyness()])
def test_a_plain_stress_is_a_cell_of_the_grid(rule):
    one = book_of(*(leg for leg in LEGS if leg[0].underlying == "BTC"))
    body = "days = 1\nspot = { other = -0.2 }\nvol = { relative_30d = 0.5, power = 0, min_days = 1 }"
    found = stress(body, book=one, dynamics=rule)
    kwargs = {} if rule is None else {"smile_dynamics": rule}
    cell = scenario_pnl(one, SURFACES, spot_shocks=[-0.2], vol_shocks=[0.5], days=[1.0], **kwargs)
    assert found.pnl_usd == pytest.approx(cell.pnl_usd.item(), rel=1e-10)
    assert found.legs["pnl_coin"].sum() == pytest.approx(cell.pnl_coin.item(), rel=1e-9)


def test_the_shipped_catalogue_runs_and_adds_up():
    report = run_stress(BOOK, SURFACES, CATALOGUE, NOW)
    table = report.table()
    assert table["name"].to_list() == [s.name for s in CATALOGUE.stresses]
    for found in report.results:
        for columns in (("venue",), ("underlying",), ("underlying", "venue"), ("currency",)):
            assert found.by(*columns)["pnl_usd"].sum() == pytest.approx(found.legs_usd, rel=1e-12)
        parts = found.legs_usd + found.collateral_usd - found.exit_cost_usd - found.lost_usd
        assert found.pnl_usd == parts
        assert found.unpriced == ()
    assert report.worst.pnl_usd == table["pnl_usd"].min()
    # Short gamma with coin collateral: falls hurt more, the deeper they are.
    losses = [report[name].legs_usd for name in ("march_2020", "may_2021", "october_2025")]
    assert losses == sorted(losses)
    assert "pnl_coin" not in report.worst.by("venue").columns
    with pytest.raises(ConfigError, match="venue"):
        report.worst.by("strike")
    with pytest.raises(ConfigError, match="march_2020"):
        report["march_2021"]
    with pytest.raises(EmptyData):
        _ = run_stress(BOOK, SURFACES, StressCatalogue(as_of=CATALOGUE.as_of, stresses=()), NOW).worst


def test_vol_doubling_doubles_every_vol():
    found = run_stress(BOOK, SURFACES, CATALOGUE.only("vol_doubling"), NOW).results[0]
    options = found.legs.filter(found.legs["vol_before"].is_not_null())
    np.testing.assert_allclose(options["vol_after"], 2.0 * options["vol_before"], rtol=1e-12)
    assert options.height == 4


def test_a_stablecoin_below_par():
    found = stress("currency = { USDC = 0.9 }")
    value = exposures(BOOK, SURFACES, ts_ns=NOW).legs["value_usd"].to_list()[2]
    assert found.legs_usd == pytest.approx(-0.1 * value)
    assert found.collateral_usd == pytest.approx(-5_000.0)
    # What the book owes in it stays: neither a short option nor a debt becomes cheaper.
    assert stress("currency = { USDC = 0.9 }", book=book_of(cash=(("USDC", "-1000"),))).pnl_usd == 0.0
    debt = book_of((option(90, "80000", coin=False), "-4"))
    assert stress("currency = { USDC = 0.9 }", book=debt).pnl_usd < 0.0
    gain = book_of((perpetual(coin=False), "10000"))
    both = "currency = { USDC = 0.9 }\nspot = { other = %s }"
    assert stress(both % 0.1, book=gain).pnl_usd == pytest.approx(0.9 * 8_000)
    assert stress(both % -0.1, book=gain).pnl_usd == pytest.approx(-8_000)


def test_a_venue_out_of_reach_takes_what_it_owes():
    split = {"deribit": {"BTC": 2.0}, "okx": {"USDC": 50_000.0}}
    body = 'spot = { other = -0.1 }\nvenue = { venue = "%s", lost_share = %s }'
    for venue in split:
        found = stress(body % (venue, 0.5), collateral=split)
        mine = found.legs.filter(found.legs["venue"] == venue)
        owed = mine["value_before_usd"].sum() + mine["pnl_usd"].sum()
        owed += 2 * 72_000 if venue == "deribit" else 50_000
        assert found.lost_usd == pytest.approx(0.5 * max(owed, 0.0))
        assert found.lost_venue == venue
        assert found.unreachable()["delta_after_usd"].sum() == pytest.approx(mine["delta_after_usd"].sum())
    losses = [stress(body % (venue, 1.0), collateral=split).lost_usd for venue in split]
    assert stress(body % ("each", 1.0), collateral=split).lost_usd == max(losses)
    # Without a split everything lies at the venue that fails.
    blind = stress(body % ("each", 1.0))
    assert blind.lost_usd > max(losses)
    assert stress(body % ("bybit", 1.0), collateral=split).lost_usd == 0.0
    with pytest.raises(ConfigError, match=r"2\.0 BTC"):
        stress(body % ("okx", 1.0), collateral={"okx": {"USDC": 50_000.0}})
    short = book_of((option(30, "80000"), "-5"))
    assert stress(body % ("each", 1.0), book=short).lost_usd == 0.0
    assert stress("").unreachable().height == 0


LIQUIDITY = (
    "liquidity = {{ spread_multiple = {k}, option_half_spread_vol_points = 1.0, "
    "option_half_spread_share = 0.02, future_half_spread_bps = 2.0, depth_left = {left}, "
    "option_depth_usd = 1e6, future_depth_usd = 1e7 }}"
)


def test_exit_cost_is_the_multiple_of_the_half_spread_and_grows_beyond_the_depth():
    book = book_of((option(30, "80000"), "-2"), (perpetual(), "1000"))
    found = stress(LIQUIDITY.format(k=5, left=1.0), book=book)
    seen = exposures(book, SURFACES, ts_ns=NOW).legs
    forward = float(BTC.forward(30 / 365))
    inside = 2 * (forward - 80_000) * 80_000 / forward
    assert inside > 0.0
    time_value = abs(seen["value_usd"][0]) - inside
    option_cost = 5 * max(abs(seen["vega_usd_per_vol_point"][0]), 0.02 * time_value)
    assert found.legs["exit_cost_usd"][0] == pytest.approx(option_cost)
    assert found.legs["exit_cost_usd"][1] == pytest.approx(5 * 2e-4 * 10_000)
    assert found.pnl_usd == -found.exit_cost_usd
    thin = stress(LIQUIDITY.format(k=5, left=0.04), book=book)
    notional = 2 * 80_000
    assert thin.legs["exit_cost_usd"][0] == pytest.approx(option_cost * np.sqrt(notional / 4e4))
    assert thin.legs["exit_cost_usd"][1] == found.legs["exit_cost_usd"][1]
    given = stress(LIQUIDITY.format(k=5, left=1.0), book=book, half_spreads={option(30, "80000").key: 100.0})
    assert given.legs["exit_cost_usd"][0] == pytest.approx(5 * 100.0 * 2)
    with pytest.raises(ConfigError, match="half-spreads"):
        stress("", half_spreads={"a": -1.0})
    # Far in the money the cost is that of the time value; far out of it the share of the value counts.
    deep = stress(LIQUIDITY.format(k=1, left=1.0), book=book_of((option(30, "40000"), "-1")))
    assert deep.exit_cost_usd < 10.0
    far = stress(LIQUIDITY.format(k=1, left=1.0).replace("_points = 1.0", "_points = 0.0"), book=book)
    assert far.legs["exit_cost_usd"][0] == pytest.approx(0.02 * time_value)
    # A long option is worth at least nothing.
    long = book_of((option(30, "95000"), "1"))
    cost = stress(LIQUIDITY.format(k=500, left=1.0), book=long)
    assert cost.equity_before_usd > 100.0
    assert cost.exit_cost_usd == pytest.approx(cost.equity_before_usd)


class Blind(StubSurface):
    def implied_vol(self, log_moneyness, tau):
        k = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))[0]
        return np.where(np.abs(k) > 0.2, np.nan, super().implied_vol(log_moneyness, tau))


@given(st.sampled_from([s.name for s in CATALOGUE.stresses]), st.sampled_from(["-3", "3"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_missing_vols_never_make_a_profit_better(name, quantity, is_call):
    """Nor does a leg without a vol pay for another leg's loss with more than it would."""
    book = book_of((option(30, "60000" if is_call else "105000", is_call), quantity))
    catalogue = CATALOGUE.only(name)
    blind = run_stress(book, {"BTC": Blind()}, catalogue, NOW).results[0]
    truth = run_stress(book, {"BTC": StubSurface()}, catalogue, NOW).results[0]
    assert blind.legs["pnl_usd"][0] <= truth.legs["pnl_usd"][0] + 1e-6


@given(st.sampled_from([s.name for s in CATALOGUE.stresses]), st.sampled_from(["-3", "3"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_missing_vols_never_make_a_stress_milder(name, quantity, is_call):
    book = book_of((option(30, "60000" if is_call else "105000", is_call), quantity))
    catalogue = CATALOGUE.only(name)
    blind = run_stress(book, {"BTC": Blind()}, catalogue, NOW).results[0]
    truth = run_stress(book, {"BTC": StubSurface()}, catalogue, NOW).results[0]
    assert blind.conservative == (book.positions[0].instrument.key,)
    assert blind.equity_after_usd <= truth.equity_after_usd + 1e-6


def test_legs_without_any_price_leave_no_equity():
    book = book_of(*LEGS, (option(30, "100", underlying="SOL"), "-5"), (option(-1), "1"))
    found = stress("spot = { other = -0.1 }", book=book, strict=False)
    sol, dead = option(30, "100", underlying="SOL"), option(-1)
    assert found.unpriced == ((sol.key, "no_surface"), (dead.key, "expired"))
    assert found.equity_before_usd is None
    assert found.equity_after_usd is None
    assert found.equity_after_coin == {"BTC": None, "ETH": None}
    assert found.legs["pnl_usd"].null_count() == 2
    table = run_stress(book, SURFACES, CATALOGUE.only("may_2021"), NOW, strict=False).table()
    assert table["unpriced"][0] == 2
    assert table["equity_after_usd"][0] is None
    with pytest.raises(UnknownInstrument, match="SOL"):
        stress("", book=book)
    # With an index the short call counts, at its stressed vol.
    marked = stress("", book=book, conservative=ConservativeMarks(indices={"SOL": 100.0}))
    assert marked.unpriced == ((dead.key, "expired"),)
    assert marked.legs["value_before_usd"][6] < 0.0
    with pytest.raises(DataError, match="ETH"):
        stress("", book=book_of(cash=(("ETH", "1"),)), surfaces={"BTC": BTC})


def test_a_stale_surface_is_marked_conservatively():
    book, late = book_of((option(30, "80000"), "-1")), NOW + NS_PER_DAY
    crush, index = CATALOGUE.only("vol_crush"), ConservativeMarks(indices={"BTC": 80_000.0})
    old = run_stress(book, SURFACES, crush, late, max_age_ns=1, conservative=index).results[0]
    lost = run_stress(book, SURFACES, crush, late, strict=False).results[0]
    assert lost.unpriced == ((option(30, "80000").key, "stale_surface"),)
    assert lost.equity_after_usd is None
    new = run_stress(book, SURFACES, CATALOGUE.only("vol_crush"), late, max_age_ns=None).results[0]
    assert old.conservative == (option(30, "80000").key,)
    assert new.conservative == ()
    assert old.pnl_usd < 0.0  # no gain from falling vols on such a mark
    assert new.pnl_usd > 100.0


def test_an_empty_book():
    report = run_stress(Book("empty"), {}, CATALOGUE, NOW)
    assert report.table()["pnl_usd"].abs().sum() == 0.0
    assert report["march_2020"].equity_after_usd == 0.0


def test_a_short_linear_contract_loses_when_its_currency_falls():
    """One coin short against USDC: at 0.90 the coin costs 11 % more USDC where the index is in it."""
    linear = replace(
        perpetual(), settlement=Settlement.USD, settle_currency=currency("USDC"), multiplier=Decimal(1)
    )
    for quantity, expected in (("-1", -80_000.0 / 9.0), ("1", 0.0)):
        found = stress("currency = { USDC = 0.9 }", book=book_of((linear, quantity)))
        assert found.legs["pnl_usd"][0] == pytest.approx(expected)
    call = option(30, "80000", coin=False)
    short = stress("currency = { USDC = 0.9 }", book=book_of((call, "-1")))
    assert short.legs["pnl_usd"][0] < -1_000.0
    inverse = stress("currency = { USDC = 0.9 }", book=book_of((perpetual(), "-1000")))
    assert inverse.legs["pnl_usd"][0] == 0.0


def test_balances_at_different_venues_do_not_net():
    split = {"deribit": {"USDC": 1_000_010.0}, "okx": {"USDC": -1_000_000.0}}
    found = stress("currency = { USDC = 0.9 }", book=book_of(cash=(("USDC", "10"),)), collateral=split)
    assert found.collateral["pnl_usd"].sum() == pytest.approx(-100_001.0)
    # Nothing in all, but a million at the venue that stops.
    nothing = {"deribit": {"USDC": 1e6}, "okx": {"USDC": -1e6}}
    gone = stress(
        'venue = { venue = "deribit", lost_share = 1.0 }',
        book=book_of(cash=(("USDC", "0"),)),
        collateral=nothing,
    )
    assert gone.lost_usd == pytest.approx(1e6)
    unnamed = stress('venue = { venue = "deribit", lost_share = 1.0 }', book=book_of(), collateral=nothing)
    assert unnamed.lost_usd == pytest.approx(1e6)
