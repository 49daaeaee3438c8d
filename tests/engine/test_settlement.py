from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, MissingPrice, SchemaError
from ivhedge.core.units import NS_PER_HOUR, parse_time
from ivhedge.engine.settlement import SettlementPrices

EXPIRY = parse_time("2026-01-09T08:00Z")


def test_a_known_price_wins_over_interpolation():
    prices = SettlementPrices({("BTC", EXPIRY): 90_500.0}, "venue")
    assert prices.price("BTC", EXPIRY, (EXPIRY - 1, 90_000.0), (EXPIRY + 1, 91_000.0)) == (90_500.0, "venue")


@pytest.mark.parametrize("known", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_known_price_that_is_no_price_is_refused(known):
    prices = SettlementPrices({("BTC", EXPIRY): known}, "venue")
    with pytest.raises(MissingPrice, match="expected a positive price"):
        prices.price("BTC", EXPIRY, (EXPIRY - 1, 1.0), (EXPIRY + 1, 2.0))


@given(st.floats(0, 1), st.floats(10, 1e6), st.floats(10, 1e6))
def test_interpolation_stays_between_its_ends(share, low, high):
    start = EXPIRY - round(share * 6 * NS_PER_HOUR)
    price, source = SettlementPrices().price("BTC", EXPIRY, (start, low), (start + 6 * NS_PER_HOUR, high))
    assert min(low, high) * (1 - 1e-12) <= price <= max(low, high) * (1 + 1e-12)
    assert source == "index between snapshots"


def test_without_snapshots_around_the_expiry_there_is_no_price():
    with pytest.raises(MissingPrice, match=r"2026-01-09 08:00:00.*settlement_bars"):
        SettlementPrices().price("BTC", EXPIRY, (EXPIRY + 1, 1.0), (EXPIRY + 2, 1.0))


def test_hourly_bars_give_the_last_half_hour(tmp_path):
    path = tmp_path / "bars.parquet"
    opens = [datetime(2026, 1, 9, 7, tzinfo=UTC), datetime(2026, 1, 9, 8, tzinfo=UTC)]
    pl.DataFrame({"timestamp": opens, "open": [100.0, 110.0], "close": [108.0, 120.0]}).write_parquet(path)
    prices = SettlementPrices.from_bars(path, "BTC")
    assert prices.price("BTC", EXPIRY, (0, 100.0), (1, 110.0)) == (106.0, "hourly bars (bars.parquet)")


def test_bars_that_are_not_there_or_not_bars(tmp_path):
    with pytest.raises(ConfigError, match="found nothing"):
        SettlementPrices.from_bars(tmp_path / "none.parquet", "BTC")
    other = tmp_path / "other.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(other)
    with pytest.raises(SchemaError, match="hourly bars"):
        SettlementPrices.from_bars(other, "BTC")
    other.write_bytes(b"not parquet")
    with pytest.raises(SchemaError, match="hourly bars"):
        SettlementPrices.from_bars(other, "BTC")


def test_a_table_of_settlements_is_taken_as_it_is():
    table = pl.DataFrame({"ts": [EXPIRY], "underlying": ["ETH"], "settlement_price": [3000.5]}).with_columns(
        pl.col("ts").cast(pl.Datetime("ns", "UTC"))
    )
    prices = SettlementPrices.from_table(table)
    assert prices.price("ETH", EXPIRY, (0, 2990.0), (1, 3010.0))[0] == 3000.5


def test_a_price_of_another_coin_settles_nothing():
    prices = SettlementPrices({("BTC", 50): 3_000.0}, "hourly bars (ETH.parquet)")
    with pytest.raises(DataError, match=r"ETH\.parquet"):
        prices.price("BTC", 50, (0, 80_000.0), (100, 82_000.0))
    far = SettlementPrices({("BTC", 50): 95_000.0}, "bars")
    assert far.price("BTC", 50, (0, 80_000.0), (100, 82_000.0))[0] == 95_000.0
