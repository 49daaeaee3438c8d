import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData, GapError, SchemaError
from ivhedge.forecast import bars_from_frame, daily_measures


def _set(frame, row, **values):
    columns = [
        pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    ]
    return frame.with_columns(columns)


def _without(frame, *rows):
    return frame.filter(~pl.int_range(pl.len()).is_in(list(rows)))


def test_whole_days_are_laid_out_by_hour(frame):
    bars = bars_from_frame(frame)
    assert bars.close.shape == (40, 24)
    assert bars.close[3, 5] == frame["close"][3 * 24 + 5]
    assert bars.repairs.missing_bars == 0


def test_incomplete_ends_are_dropped_and_counted(frame):
    bars = bars_from_frame(frame[5:-3])
    assert bars.close.shape == (38, 24)
    assert bars.repairs.edge_bars_dropped == 19 + 21


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), None])
def test_a_price_that_is_none_names_its_row(frame, value):
    with pytest.raises(DataError, match=r"row 77.*positive close"):
        bars_from_frame(_set(frame, 77, close=value), repair=True)


def test_a_high_below_the_close_names_its_row(frame):
    with pytest.raises(DataError, match=r"row 12 .*low <= open"):
        bars_from_frame(_set(frame, 12, high=1e-3), repair=True)


def test_wrong_order_is_refused_or_sorted_and_counted(frame):
    mixed = pl.concat([frame[:30], frame[31:40], frame[30:31], frame[40:]])
    with pytest.raises(DataError, match=r"row 39 .* lies before row 38"):
        bars_from_frame(mixed)
    mended = bars_from_frame(mixed, repair=True)
    assert mended.repairs.sorted_rows == 1
    assert (mended.close == bars_from_frame(frame).close).all()


def test_duplicates_are_refused_or_dropped_and_counted(frame):
    twice = pl.concat([frame[:31], frame[30:]])
    with pytest.raises(DataError, match="row 31 repeats"):
        bars_from_frame(twice)
    assert bars_from_frame(twice, repair=True).repairs.duplicates_dropped == 1


def test_duplicates_that_contradict_are_always_refused(frame):
    other = pl.concat([frame[:31], _set(frame, 30, close=float(frame["low"][30]))[30:]])
    with pytest.raises(DataError, match="different prices at 2024-01-02 06:00:00"):
        bars_from_frame(other, repair=True)


def test_a_hole_is_refused_or_counted(frame):
    with pytest.raises(GapError, match="2024-01-03 02:00:00, found 23"):
        bars_from_frame(_without(frame, 50))
    holed = bars_from_frame(_without(frame, 50), repair=True)
    assert holed.repairs.missing_bars == 1
    whole = daily_measures(bars_from_frame(frame))
    table = daily_measures(holed)
    price, opened = np.log(frame["close"].to_numpy()), np.log(frame["open"].to_numpy())
    steps = [price[t] - price[t - 1] for t in range(48, 72) if t not in (50, 51)]
    # The bar after the hole counts from its own open.
    steps.append(price[51] - opened[51])
    assert table.rv[2] == pytest.approx(np.sum(np.square(steps)) * 24 / 23)
    assert table.rv[3] == whole.rv[3]


def test_a_large_hole_is_always_refused(frame):
    with pytest.raises(GapError, match="found 21"):
        bars_from_frame(_without(frame, 50, 51, 52), repair=True)
    with pytest.raises(GapError, match="found 0"):
        bars_from_frame(_without(frame, *range(48, 72)), repair=True)


def test_times_need_the_zone_utc(frame):
    naive = frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    with pytest.raises(SchemaError, match="found none"):
        bars_from_frame(naive)
    paris = frame.with_columns(pl.col("timestamp").dt.convert_time_zone("Europe/Paris"))
    with pytest.raises(SchemaError, match="Europe/Paris"):
        bars_from_frame(paris)


def test_other_tables_are_refused(frame):
    with pytest.raises(SchemaError, match="missing: \\['low'\\]"):
        bars_from_frame(frame.drop("low"))
    with pytest.raises(SchemaError, match="column open: expected numbers"):
        bars_from_frame(frame.with_columns(pl.col("open").cast(pl.String)))
    with pytest.raises(EmptyData):
        bars_from_frame(frame[:0])
    with pytest.raises(EmptyData, match="one whole UTC day"):
        bars_from_frame(frame[3:20])
    with pytest.raises(ConfigError):
        bars_from_frame(frame, interval_ns=7 * 3_600_000_000_000)
    shifted = frame.with_columns(pl.col("timestamp").dt.offset_by("5m"))
    with pytest.raises(DataError, match="row 0: expected the open time"):
        bars_from_frame(shifted)


def test_a_stuck_feed_is_refused(frame):
    still = frame.with_columns(
        [
            pl.when(pl.int_range(pl.len()).is_between(48, 71)).then(90.0).otherwise(pl.col(c)).alias(c)
            for c in ("open", "high", "low", "close")
        ]
    )
    with pytest.raises(DataError, match="day 2024-01-03: expected prices that move"):
        daily_measures(bars_from_frame(still))
