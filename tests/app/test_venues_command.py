"""`ivhedge venues` from file to table."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ivhedge.app.cli import main
from ivhedge.market.simulator import SimulationConfig, simulate_market
from tests.hedge.mispricing._market import chain

TRUTH = {"aurora": 0.0, "borealis": 0.003, "cirrus": -0.0045, "dune": 0.006, "ember": 0.01}
STRIKES = tuple(range(70_000, 115_000, 2_500))


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["venues", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("venues") / "five.parquet"
    simulate_market(SimulationConfig(n_snapshots=2), np.random.default_rng(7)).chains.write_parquet(path)
    return path


def test_biases_of_a_known_market_lie_in_their_intervals(
    five: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(five, "-u", "BTC", "--anchor", "aurora", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arbitrage_free"] is True
    assert [one["venue"] for one in found["venues"]] == sorted(TRUTH)
    for one in found["venues"]:
        low, high = one["level_interval"]
        # Of five intervals of 95 % one may miss by a little.
        slack = 0.5 * (high - low) + 1e-9
        assert low - slack <= TRUTH[one["venue"]] <= high + slack, one
        assert high - low < 0.01
    assert sum(one["share"] for one in found["venues"]) == pytest.approx(1.0)
    by_expiry = [row for row in found["biases"] if row["expiry"] is not None]
    assert len(by_expiry) == len(TRUTH) * len(found["expiries"])


def test_tables_show_every_venue_and_expiry(five: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(five, "-u", "BTC", "--anchor", "aurora") == 0
    shown = capsys.readouterr().out
    assert "free of arbitrage" in shown
    assert "relative to aurora" in shown
    assert all(venue in shown for venue in TRUTH)
    assert "one sided" in shown


def test_a_venue_that_copies_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "copied.parquet"
    chain(["aurora", "borealis", "dune"], strikes=STRIKES).write_parquet(path)
    assert run(path) == 0
    assert "moves with borealis (1.00)" in " ".join(capsys.readouterr().out.split())


def test_a_venue_that_is_lost_is_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, quotes = tmp_path / "lost.parquet", chain(["aurora", "borealis", "dune"], strikes=STRIKES)
    later = [
        quotes.filter(pl.col("venue").is_in(names)).with_columns(
            pl.col("ts", "ts_event", "ts_recv") + timedelta(seconds=second)
        )
        for second, names in enumerate((["aurora", "borealis", "dune"],) * 2 + (["aurora", "borealis"],))
    ]
    pl.concat(later).write_parquet(path)
    assert run(path, "--since", "2026-01-05T12:00", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["snapshots"], found["watched"]) == (3, True)
    dune = next(one for one in found["venues"] if one["venue"] == "dune")
    assert (dune["state"], dune["n_quotes"], dune["share"]) == ("absent", 0, 0.0)
    assert dune["level_bias"] is not None
    assert found["held_quotes"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nowhere.parquet",), 3, "check the path"),
        (("{one}",), 4, "quotes of two venues or more"),
        (("{one}", "--since", "2026-01-05T12:00"), 4, "two snapshots or more"),
        (("{five}",), 3, "choose with --underlying"),
        (("{five}", "-u", "BTC", "--anchor", "nobody"), 3, "'nobody'"),
    ],
)
def test_bad_input_is_one_line(
    five: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = tmp_path / "one.parquet"
    chain(["aurora"]).write_parquet(one)
    names = {"{one}": one, "{five}": five}
    assert run(*(names.get(a, a) for a in arguments)) == code
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
