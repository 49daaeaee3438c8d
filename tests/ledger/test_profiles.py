from pathlib import Path

import polars as pl
import pytest

from ivhedge.core import NS_PER_HOUR, InstrumentKind, Settlement, to_ns
from ivhedge.core.errors import ConfigError
from ivhedge.ledger import (
    ExpiryPeriod,
    FundingStyle,
    available_venues,
    expiry_period,
    load_fees,
    load_funding_rule,
    load_profile,
    parse_profile,
)

_HEAD = 'venue = "x"\nas_of = 2026-01-01\n'
_RULE = '[option.coin]\nmaker = 0.0003\ntaker = 0.0003\nstatus = "s"\nsource = "t"\n'


def test_the_shipped_venues() -> None:
    real = {"binance", "bybit", "deribit", "derive", "okx"}
    made_up = {"aurora", "borealis", "cirrus", "dune", "ember"}
    assert set(available_venues()) == real | made_up
    assert {v for v in available_venues() if load_profile(v).simulated} == made_up


def test_the_made_up_venues_differ_and_cover_what_the_simulator_trades() -> None:
    coin, usd = Settlement.COIN, Settlement.USD
    settlement = {"aurora": coin, "borealis": coin, "cirrus": coin, "dune": usd, "ember": usd}
    options = []
    for venue, settled in settlement.items():
        rules = load_fees(venue).rules
        rule = rules[InstrumentKind.OPTION, settled]
        options.append((rule.maker, rule.taker, rule.cap, rule.delivery))
        for kind in (InstrumentKind.FUTURE, InstrumentKind.PERPETUAL):
            assert {(kind, coin), (kind, usd)} <= rules.keys()
    assert len(set(options)) == 5


@pytest.mark.parametrize("venue", available_venues())
def test_every_rule_says_how_sure_it_is(venue: str) -> None:
    fees = load_fees(venue)
    for rule in (*fees.rules.values(), *fees.by_period.values()):
        assert rule.status
        assert rule.source


def test_an_unknown_venue_is_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'binance'.*'okx'.*found 'mtgox'"):
        load_fees("mtgox")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_HEAD + "[option.coin]\nmaker = 1", r"\['source', 'status', 'taker'\]"),
        (_HEAD + _RULE + "capp = 0.1\n", "capp"),
        (_HEAD + _RULE + "[option.coin.daily]\nfree = true\n", "free"),
        (_HEAD + "[options.coin]\n", "options"),
        (_HEAD + "[option.gold]\n", "gold"),
        (_HEAD + _RULE + "cap = -0.1\n", "cap of 0 or more"),
        (_HEAD + _RULE.replace("0.0003", "nan", 1), "maker"),
        (_HEAD + _RULE.replace("0.0003", '"0.0003"', 1), "maker as a number"),
        (_HEAD + _RULE.replace("0.0003", "true", 1), "maker as a number"),
        (_HEAD + "option = 3\n", "expected a table"),
        (_HEAD + '[funding]\nstyle = "weekly"\n', "weekly"),
        (_HEAD + "[funding]\ninterval = 8\n", "interval"),
        (_HEAD + "[funding]\ninterval_hours = 0\n", "positive funding interval"),
        ('venue = "x"\n', "as_of"),
        ("venue = ", "expected TOML"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_profile(text, source="mine.toml")


def test_a_series_inherits_what_it_does_not_override() -> None:
    text = _HEAD + _RULE + "delivery = 0.00015\n[option.coin.daily]\ndelivery = 0\n"
    fees = parse_profile(text, source="mine.toml").fees
    key = (InstrumentKind.OPTION, Settlement.COIN)
    daily = fees.by_period[(*key, ExpiryPeriod.DAILY)]
    assert (daily.taker, daily.delivery) == (fees.rules[key].taker, 0)


def test_funding_rules() -> None:
    assert load_funding_rule("deribit").style is FundingStyle.CONTINUOUS
    assert load_funding_rule("deribit").interval_ns == 8 * NS_PER_HOUR
    assert load_funding_rule("binance").style is FundingStyle.DISCRETE


@pytest.mark.recorded
def test_future_commissions_are_those_recorded(recorded: Path) -> None:
    """The calendar rule (a month's last Friday or not) explains every commission of the tickers."""
    rows = pl.read_parquet(recorded / "deribit_tickers" / "futures.parquet").filter(
        pl.col("expiry").is_not_null()
    )
    fees = load_fees("deribit")
    key = (InstrumentKind.FUTURE, Settlement.COIN)
    checked = 0
    for expiry, maker, taker in rows.select("expiry", "maker_commission", "taker_commission").iter_rows():
        rule = fees.by_period.get((*key, expiry_period(to_ns(expiry))), fees.rules[key])
        assert (float(rule.maker), float(rule.taker)) == (maker, taker)
        checked += 1
    assert checked >= 70


@pytest.mark.recorded
def test_option_commissions_are_those_recorded(recorded: Path) -> None:
    rows = pl.read_parquet(recorded / "deribit_tickers" / "options.parquet")
    rule = load_fees("deribit").rules[InstrumentKind.OPTION, Settlement.COIN]
    assert rows["maker_commission"].unique().to_list() == [float(rule.maker)]
    assert rows["taker_commission"].unique().to_list() == [float(rule.taker)]
