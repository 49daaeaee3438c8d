"""`ivhedge forecast`: terminal, JSON, page, and what it refuses."""

import polars as pl
import pytest

from ivhedge.core.units import parse_time
from ivhedge.forecast import best_forecaster, har, standard_forecasters
from tests.forecast.conftest import simulated_frame


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "BTC.parquet"
    simulated_frame(330)[0].write_parquet(path)
    return path


def test_the_term_structure_is_shown_and_written(cli, bars, tmp_path):
    ran = cli("forecast", bars, "--html", tmp_path / "f.html")
    assert ran.code == 0, ran.err
    assert "expected volatility" in ran.out
    assert "expected volatility" in (tmp_path / "f.html").read_text()
    found = cli("forecast", bars, "--json").json
    assert [row["days"] for row in found["term_structure"]] == [1.0, 3.0, 7.0, 14.0, 30.0, 60.0]
    assert all(row["low"] < row["vol"] < row["high"] for row in found["term_structure"])
    assert found["regime"] in ("calm", "elevated", "spike")
    assert found["premium"] is None
    assert found["view"] is None


def test_against_a_surface(cli, bars, recording, tmp_path):
    """Bars moved so that they end just before the recording, at its price."""
    chains = pl.read_parquet(recording / "chains.parquet")
    start, index = chains["ts"].min(), chains.filter(pl.col("ts") == pl.col("ts").min())["index"][0]
    frame = pl.read_parquet(bars)
    shift = start.replace(hour=0, minute=0, second=0, microsecond=0) - frame["timestamp"].max()
    scale = index / frame["close"][-1]
    moved = frame.with_columns(
        pl.col("timestamp") + shift - pl.duration(hours=1), pl.col("open", "high", "low", "close") * scale
    )
    path = tmp_path / "BTC.parquet"
    moved.write_parquet(path)
    at = start.strftime("%Y-%m-%dT%H:%M:%S")
    ran = cli("forecast", path, "--chains", recording, "--at", at, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["smile"] is None
    assert all(0.0 < row["swap_vol"] < 3.0 for row in ran.json["premium"])
    assert len(ran.json["view"]["targets"]) == 3
    other = tmp_path / "ETH.parquet"
    moved.with_columns(pl.col("open", "high", "low", "close") / 30.0).write_parquet(other)
    wrong = cli("forecast", other, "--chains", recording, "--at", at)
    assert wrong.code == 4
    assert "that coin's bars" in wrong.err


def test_rich_and_cheap_by_delta(cli, recording, tmp_path):
    chains = pl.read_parquet(recording / "chains.parquet")
    start, index = chains["ts"].min(), chains.filter(pl.col("ts") == pl.col("ts").min())["index"][0]
    frame = simulated_frame(570)[0]
    shift = start.replace(hour=0, minute=0, second=0, microsecond=0) - frame["timestamp"].max()
    scale = index / frame["close"][-1]
    path = tmp_path / "BTC.parquet"
    frame.with_columns(
        pl.col("timestamp") + shift - pl.duration(hours=1), pl.col("open", "high", "low", "close") * scale
    ).write_parquet(path)
    at = start.strftime("%Y-%m-%dT%H:%M:%S")
    ran = cli("forecast", path, "--chains", recording, "--at", at, "--moneyness")
    assert ran.code == 0, ran.err
    assert "rich and cheap by delta" in ran.out
    assert "25P" in ran.out
    found = cli("forecast", path, "--chains", recording, "--at", at, "--moneyness", "--json").json["smile"]
    assert {row["call_delta"] for row in found} == {0.9, 0.75, 0.5, 0.25, 0.1}
    middle = [row for row in found if row["call_delta"] == 0.5]
    assert all(0.1 < row["expected_vol"] < 2.0 and row["error"] > 0.0 for row in middle)


def test_what_is_refused(cli, bars, tmp_path):
    frame = pl.read_parquet(bars)
    empty, broken, short, hole = (
        tmp_path / f"{name}.parquet" for name in ("empty", "broken", "short", "hole")
    )
    frame.head(0).write_parquet(empty)
    broken.write_bytes(b"")
    frame.head(24 * 100).write_parquet(short)
    frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 50).then(float("nan")).otherwise(pl.col("close")).alias("close")
    ).write_parquet(hole)
    for path, words, code in (
        (tmp_path / "none.parquet", "found nothing", 3),
        (empty, "expected", 4),
        (broken, "parquet", 4),
        (short, "days", 4),
        (hole, "50", 4),
    ):
        ran = cli("forecast", path)
        assert ran.code == code, (path, ran.err)
        assert words in ran.err
        assert "Traceback" not in ran.err


def test_forecasters_are_judged(cli, tmp_path, monkeypatch):
    path = tmp_path / "bars.parquet"
    simulated_frame(560)[0].write_parquet(path)
    names = ("HAR", "EWMA-GK", "week-HAR logs", "week-HAR levels")
    few = [model for model in standard_forecasters() if model.name in names]
    monkeypatch.setattr("ivhedge.forecast.standard_forecasters", lambda: (*few, best_forecaster()))
    page = tmp_path / "judged.html"
    ran = cli("forecast", path, "--evaluate", "--html", page)
    assert ran.code == 0, ran.err
    assert "variance over 30 days" in ran.out
    assert "variance over 30 days" in page.read_text()
    found = cli("forecast", path, "--evaluate", "--since", "2024-12-20", "--json").json
    assert found["first_ns"] == parse_time("2024-12-20")
    ratios = {row["name"]: row["ratio"] for row in found["scores"] if row["horizon"] == 1}
    assert ratios["HAR"] == 1.0
    # The market of the fixture has weekends, and HAR knows of none.
    assert ratios["week-HAR"] < 0.8
    assert list(found["days"]) == ["1", "7", "30"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "2024-06-01"), "--evaluate"),
        (("--moneyness",), "--chains"),
        (("--evaluate", "--at", "2026-01-01"), "--at"),
        (("--evaluate", "--since", "soon"), "ISO date"),
        (("--evaluate", "--since", "2024-11-01"), "earlier day"),
    ],
)
def test_what_cannot_be_judged_is_said(cli, bars, monkeypatch, arguments, words):
    monkeypatch.setattr("ivhedge.forecast.standard_forecasters", lambda: (har(),))
    ran = cli("forecast", bars, *arguments)
    assert ran.code in (3, 4), ran.err
    assert words in ran.err
