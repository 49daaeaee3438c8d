from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.risk.stress import StressKind, load_catalogue, parse_catalogue

HEAD = "as_of = 2026-11-22\n"
ONE = HEAD + '[[stress]]\nname = "x"\ntitle = "X"\nkind = "hypothetical"\n'
LIQUIDITY = (
    "spread_multiple = {multiple}, option_half_spread_vol_points = 1.0, option_half_spread_share = 0.0, "
    "future_half_spread_bps = 1.0, depth_left = {left}, option_depth_usd = {depth}, future_depth_usd = 1.0"
)


def test_the_shipped_catalogue_has_what_was_asked_for():
    catalogue = load_catalogue()
    names = {stress.name for stress in catalogue.stresses}
    assert {"march_2020", "may_2021", "november_2022", "october_2025"} <= names
    assert {"vol_doubling", "usdc_at_090", "usdt_at_090", "venue_outage", "venue_lost"} <= names
    assert {"liquidity_gone", "crash_with_skew", "vol_crush", "weekend_gap_down", "weekend_gap_up"} <= names
    assert catalogue.as_of == date(2026, 11, 22)
    for stress in catalogue.stresses:
        # A figure comes from a source or is called assumed.
        assert stress.assumed
        assert stress.title
        assert (stress.kind is StressKind.HISTORICAL) == (stress.date is not None)
        assert stress.kind is StressKind.HYPOTHETICAL or stress.sources
    assert catalogue["october_2025"].spot_of("SOL") == catalogue["october_2025"].spot["other"]
    assert catalogue["vol_doubling"].spot_of("BTC") == 0.0
    assert [s.name for s in catalogue.only("may_2021", "vol_crush").stresses] == ["may_2021", "vol_crush"]
    with pytest.raises(ConfigError, match="may_2021"):
        catalogue.only("may_2025")


@pytest.mark.recorded
def test_historical_moves_are_those_of_the_recorded_series(recorded):
    daily = pl.read_parquet(recorded / "btc_daily" / "btc_daily.parquet").with_columns(
        pl.col("timestamp").dt.date().alias("day")
    )

    def on(day, column):
        return daily.filter(pl.col("day") == day)[column][0]

    catalogue = load_catalogue()
    march = on(date(2020, 3, 13), "low") / on(date(2020, 3, 11), "close") - 1.0
    may = on(date(2021, 5, 19), "low") / on(date(2021, 5, 18), "close") - 1.0
    assert catalogue["march_2020"].spot["BTC"] == pytest.approx(march, abs=5e-4)
    assert catalogue["may_2021"].spot["BTC"] == pytest.approx(may, abs=5e-4)
    falls = [
        ("november_2022", "BTC", datetime(2022, 11, 6, 22, tzinfo=UTC)),
        ("november_2022", "ETH", datetime(2022, 11, 7, 20, tzinfo=UTC)),
        ("october_2025", "BTC", datetime(2025, 10, 9, 12, tzinfo=UTC)),
        ("october_2025", "ETH", datetime(2025, 10, 9, 0, tzinfo=UTC)),
    ]
    weekends = [
        ("weekend_gap_down", "BTC", datetime(2022, 6, 10, 20, tzinfo=UTC)),
        ("weekend_gap_down", "ETH", datetime(2026, 1, 30, 20, tzinfo=UTC)),
        ("weekend_gap_up", "BTC", datetime(2025, 2, 28, 20, tzinfo=UTC)),
        ("weekend_gap_up", "ETH", datetime(2025, 2, 28, 20, tzinfo=UTC)),
    ]
    hourly = {
        coin: pl.read_parquet(recorded / "underlying_hourly" / f"{coin}.parquet").sort("timestamp")
        for coin in ("BTC", "ETH")
    }
    for name, coin, start in falls:
        part = hourly[coin].filter(pl.col("timestamp").is_between(start, start + timedelta(days=3)))
        fall = part["low"][1:].min() / part["close"][0] - 1.0
        assert catalogue[name].spot[coin] == pytest.approx(fall, abs=6e-4), (name, coin)
    for name, coin, start in weekends:
        part = hourly[coin].filter(pl.col("timestamp").is_between(start, start + timedelta(hours=51)))
        move = part["close"][-1] / part["close"][0] - 1.0
        assert catalogue[name].spot[coin] == pytest.approx(move, abs=6e-4), (name, coin)
    dvol = pl.read_parquet(recorded / "dvol" / "btc_dvol_daily.parquet").with_columns(
        pl.col("timestamp").dt.date().alias("day")
    )
    jump = (
        dvol.filter(pl.col("day") == date(2025, 10, 10))["high"][0]
        - dvol.filter(pl.col("day") == date(2025, 10, 9))["close"][0]
    )
    assert catalogue["october_2025"].vol.points_30d == pytest.approx(jump, abs=1e-9)


def test_a_whole_stress_is_read():
    text = ONE + (
        "days = 2\nspot = { BTC = -0.1, other = -0.2 }\n"
        "vol = { points_30d = 10, power = 0.5, min_days = 1 }\n"
        'skew = { points = -3.5 }\ncurrency = { USDC = 0.9 }\nvenue = { venue = "okx", lost_share = 0.5 }\n'
        f"liquidity = {{ {LIQUIDITY.format(multiple=2, left=0.5, depth=10)} }}\n"
    )
    stress = parse_catalogue(text, source="mine.toml")["x"]
    assert stress.vol.points_30d == 10.0
    assert stress.vol.relative_30d is None
    assert stress.skew.points == -3.5
    assert stress.venue.venue == "okx"
    assert stress.liquidity.depth_left == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("as_of = ", ["mine.toml", "TOML"]),
        (HEAD, ["mine.toml", "[[stress]]"]),
        (HEAD + "extra = 1\n[[stress]]\n", ["mine.toml", "extra", "as_of"]),
        (ONE + "spott = 1\n", ["mine.toml", "(x)", "spott", "spot"]),
        (
            ONE + "vol = { points_30d = 1, power = 0, min_days = 1, decay = 1 }\n",
            ["vol", "decay", "min_days"],
        ),
        (ONE + "vol = { points_30d = 1, power = 0 }\n", ["vol", "min_days"]),
        (ONE + "vol = { power = 0, min_days = 1 }\n", ["vol", "either points_30d"]),
        (ONE + "vol = { points_30d = 1, relative_30d = 1, power = 0, min_days = 1 }\n", ["either"]),
        (ONE + "vol = { points_30d = nan, power = 0, min_days = 1 }\n", ["points_30d", "finite"]),
        (ONE + "vol = { points_30d = 1, power = -1, min_days = 1 }\n", ["power"]),
        (ONE + "spot = { BTC = -1.0, other = 0 }\n", ["BTC", "above -1"]),
        (ONE + "spot = { BTC = -0.1 }\n", ["other"]),
        (ONE + "spot = -0.1\n", ["spot", "dict"]),
        (ONE + 'spot = { other = "low" }\n', ["spot.other", "finite number"]),
        (ONE + "currency = { USDC = 1.1 }\n", ["USDC"]),
        (ONE + "currency = { USDC = 0.0 }\n", ["USDC"]),
        (ONE + 'venue = { venue = "okx", lost_share = 1.5 }\n', ["lost_share"]),
        (ONE + f"liquidity = {{ {LIQUIDITY.format(multiple=0.5, left=1, depth=1)} }}\n", ["spread_multiple"]),
        (ONE + f"liquidity = {{ {LIQUIDITY.format(multiple=1, left=0, depth=1)} }}\n", ["depth_left"]),
        (ONE + f"liquidity = {{ {LIQUIDITY.format(multiple=1, left=1, depth=0)} }}\n", ["option_depth_usd"]),
        (ONE + "days = -1\n", ["days"]),
        (ONE + "date = 2020-03-12\n", ["date", "historical"]),
        (ONE.replace("hypothetical", "historical"), ["date"]),
        (ONE.replace("hypothetical", "likely"), ["historical", "likely"]),
        (ONE.replace('title = "X"\n', ""), ["title"]),
        (ONE + ONE.removeprefix(HEAD), ["once", "x"]),
        (ONE.removeprefix(HEAD), ["as_of", "date"]),
        (HEAD + "stress = [1]\n", ["expected a table"]),
    ],
)
def test_bad_catalogues_name_file_key_and_what_is_allowed(text, words):
    with pytest.raises(ConfigError) as caught:
        parse_catalogue(text, source="mine.toml")
    assert "mine.toml" in str(caught.value)
    for word in words:
        assert word in str(caught.value)
