"""`ivhedge mispricings` from file to table."""

import json
from pathlib import Path

import polars as pl
import pytest

from ivhedge.app.cli import main
from tests.hedge.mispricing._market import NEAR, chain, moved, price

STRIKES = tuple(range(78_000, 104_000, 1_000))
NAME = f"BTC-{NEAR}-95000-C"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["mispricings", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    quotes = chain(["aurora", "dune"], half=0.003, strikes=STRIKES)
    low = {side: 0.7 * price(quotes, "dune", NAME, side) for side in ("bid", "ask")}
    path = tmp_path / "chain.parquet"
    moved(quotes, "dune", NAME, **low).write_parquet(path)
    return path


def test_tables_name_what_was_found(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(source), "--half-life", "0.1") == 0
    shown = capsys.readouterr().out
    assert "assumed" in shown
    assert "Static arbitrage at the quotes" in shown
    assert "95000-C" in shown


def test_json_holds_everything(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(source), "--half-life", "0.1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert f"dune:{NAME}" in [row["buy"] for row in found["statistical"]]
    assert any(leg["key"] == f"dune:{NAME}" for f in found["static"] for leg in f["legs"])
    assert found["unsolved"] == 0
    assert found["half_life_s"] == 360.0


def test_an_old_quote_is_not_executable(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = pl.col("ts_event").dt.offset_by("-3m")
    quotes = pl.read_parquet(source)
    is_old = (pl.col("venue") == "dune") & (pl.col("instrument_name") == NAME)
    quotes.with_columns(ts_event=pl.when(is_old).then(old).otherwise("ts_event")).write_parquet(source)
    found = {}
    for age in ("120", "600"):
        assert run(str(source), "--half-life", "0.1", "--max-age", age, "--json") == 0
        found[age] = json.loads(capsys.readouterr().out)
    keys = {age: [leg["key"] for f in one["static"] for leg in f["legs"]] for age, one in found.items()}
    assert f"dune:{NAME}" in keys["600"]
    assert f"dune:{NAME}" not in keys["120"]
    assert found["120"]["excluded"]["dune"]["stale"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.parquet",), "check the path"),
        (("{source}", "--half-life", "0"), "--half-life above 0"),
        (("{source}", "--min-z", "nan"), "min_z above 0"),
        (("{source}", "--index-distance", "-1"), "index_distance"),
        (("{source}", "--max-age", "0"), "max_age_s above 0"),
        (("{source}", "--since", "2026-01-05T00:00"), "at or before"),
    ],
)
def test_bad_input_is_one_line(
    source: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(a.replace("{source}", str(source)) for a in arguments)) != 0
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
