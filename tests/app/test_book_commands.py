"""`ivhedge risk`, `stress` and `margin`: terminal, JSON, page, picture, and what they refuse."""

import re
from pathlib import Path

import pytest

from tests.app.conftest import BOOK

MARGIN = ("margin", "--profile", "deribit_pm_btc")
COMMANDS = [("risk",), ("stress",), MARGIN]


@pytest.fixture(scope="session")
def small(recording, tmp_path_factory) -> Path:
    """One snapshot of the recording."""
    import polars as pl

    folder = tmp_path_factory.mktemp("small")
    chains = pl.read_parquet(recording / "chains.parquet")
    chains.filter(pl.col("ts") == pl.col("ts").min()).write_parquet(folder / "chains.parquet")
    (folder / "futures.parquet").write_bytes((recording / "futures.parquet").read_bytes())
    return folder


def run(cli, command, source, *more):
    name, *options = command
    return cli(name, source, "-b", BOOK, *options, *more)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_book_is_shown_drawn_and_written(cli, small, tmp_path, command):
    pytest.importorskip("matplotlib")
    page, picture = tmp_path / "book.html", tmp_path / "book.png"
    ran = run(cli, command, small, "--html", page, "--png", picture)
    assert ran.code == 0, ran.err
    assert "short strangle ladder" in ran.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "short strangle ladder" in page.read_text()
    assert not re.search(r"\bnan\b", ran.out, re.IGNORECASE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_json_with_a_page_is_one_value(cli, small, tmp_path, command):
    ran = run(cli, command, small, "--json", "--html", tmp_path / "book.html")
    assert ran.json["underlying"] == "BTC"
    assert "wrote" in ran.err


def test_vega_of_the_grid_is_that_of_the_book(cli, small):
    found = run(cli, ("risk",), small, "--json").json
    summed = sum(node["vega_usd_per_vol_point"] for node in found["vega_grid"])
    assert summed == pytest.approx(found["total"]["vega_usd_per_vol_point"], rel=1e-9)
    account = found["account"]
    assert account["delta_usd"] == pytest.approx(found["total"]["delta_usd"] + account["collateral_coin"])


def test_stress_adds_up_and_names_the_worst(cli, small):
    found = run(cli, ("stress",), small, "--json").json
    rows = {row["name"]: row for row in found["stresses"]}
    assert {"march_2020", "vol_doubling", "usdc_at_090", "venue_outage"} <= set(rows)
    for row in rows.values():
        parts = row["legs_usd"] + row["collateral_usd"] - row["exit_cost_usd"] - row["lost_usd"]
        assert row["pnl_usd"] == pytest.approx(parts)
        assert row["equity_after_usd"] == pytest.approx(row["equity_before_usd"] + row["pnl_usd"])
    assert found["worst"] == min(rows, key=lambda name: rows[name]["pnl_usd"])
    # A short strangle loses when every vol doubles.
    assert rows["vol_doubling"]["legs_usd"] < 0.0


def test_chosen_stresses_only(cli, small):
    found = run(cli, ("stress",), small, "--only", "vol_doubling", "--only", "melt_up", "--json").json
    assert [row["name"] for row in found["stresses"]] == ["vol_doubling", "melt_up"]


def test_own_stresses(cli, small, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        'as_of = 2026-01-01\n[[stress]]\nname = "mine"\ntitle = "mine"\nkind = "hypothetical"\n'
        "spot = { other = -0.2 }\n"
    )
    found = run(cli, ("stress",), small, "--catalogue", own, "--json").json
    assert [row["name"] for row in found["stresses"]] == ["mine"]


def test_margin_says_how_far_liquidation_is(cli, small):
    found = run(cli, MARGIN, small, "--json").json
    assert 0.0 < found["maintenance"] <= found["initial"]
    assert found["initial_excess"] == pytest.approx(found["equity"] - found["initial"])
    assert found["status"] == "assumed"
    assert found["trustworthy"] is False
    assert -0.95 < found["liquidation"]["spot_down"]["move"] < 0.0
    assert found["after_stress"]["march_2020"]["equity"] < found["equity"]


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        (("stress",), ("--only", "nothing"), "expected a stress of"),
        (("stress",), ("--catalogue", "absent.toml"), "expected a TOML file"),
        (("margin", "--profile", "nothing"), (), "expected a margin profile of"),
        (("margin", "--profile", "absent.toml"), (), "expected a TOML file"),
        (("margin", "--profile", "deribit_pm_eth"), ("--on", "2026-03-01"), "expected an underlying of"),
        (("margin", "--profile", "derive_srm"), (), "expected linear positions"),
        (MARGIN, ("--on", "2020-01-01"), "deribit_pm_btc"),
    ],
)
def test_what_cannot_be_is_refused_by_name(cli, small, command, more, words):
    ran = run(cli, command, small, *more)
    assert ran.code != 0
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_a_misspelled_key_of_own_stresses_is_named(cli, small, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('as_of = 2026-01-01\n[[stress]]\nname = "mine"\nspott = 1\n')
    ran = run(cli, ("stress",), small, "--catalogue", own)
    assert ran.code != 0
    assert "spott" in ran.err
    assert "own.toml" in ran.err


@pytest.fixture(scope="module")
def explained(cli, recording, tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("explained")
    page, picture = folder / "book.html", folder / "book.png"
    return cli("explain", recording, "-b", BOOK, "--json", "--html", page, "--png", picture), page, picture


def test_a_profit_is_explained_drawn_and_written(explained):
    ran, page, picture = explained
    assert ran.code == 0, ran.err
    assert "profit by expiry and factor" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_terms_and_factors_add_up_to_the_same_profit(explained):
    found = explained[0].json
    (total,) = found["totals"]
    for key in ("by_term", "by_factor"):
        assert sum(row["profit"] for row in found[key]) == pytest.approx(total["total"], rel=1e-9)
    parts = ("book", "hedge", "carry", "trading", "residual", "unexplained")
    assert sum(total[name] for name in parts) == pytest.approx(total["total"], rel=1e-9)
    assert total["theta"] > 0.0
    assert total["residual_share"] < 0.02
    assert sum(row["total"] for row in found["by_leg"]) == pytest.approx(total["total"], rel=1e-9)


def test_profit_over_several_snapshots_is_that_of_the_marks(cli, recording):
    import polars as pl

    ran = cli(
        "explain", recording, "-b", BOOK, "--from", "2026-01-05T06:00", "--method", "revaluation", "--json"
    )
    found = ran.json
    (total,) = found["totals"]
    assert total["residual"] == pytest.approx(0.0, abs=1e-12)
    chains = pl.read_parquet(recording / "chains.parquet")
    first, last = (
        chains.filter(pl.col("ts") == at) for at in (chains["ts"].unique().sort()[1], chains["ts"].max())
    )
    held = cli("risk", recording, "-b", BOOK, "--at", "2026-01-05T06:00", "--json").json["legs"]
    profit = 0.0
    for leg in held:
        name = leg["instrument"].split(":")[1]
        mine = (pl.col("instrument_name") == name) & (pl.col("venue") == leg["venue"])
        before, after = (part.filter(mine)["mark"][0] for part in (first, last))
        profit += leg["contracts"] * (after - before)
    # One contract of the simulated coin venue is one coin of underlying.
    assert total["total"] == pytest.approx(profit, rel=1e-9)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--to", "2026-01-05T00:00"), "expected two snapshots or more"),
        (("--from", "2020-01-01"), "expected a snapshot at or before"),
        (("--method", "guess"), "expected --method taylor or revaluation"),
        (("--bars", "absent.parquet"), "expected a parquet file of hourly bars"),
    ],
)
def test_an_explanation_that_cannot_be_is_refused(cli, recording, more, words):
    ran = cli("explain", recording, "-b", BOOK, *more)
    assert ran.code != 0
    assert words in ran.err


def _own_book(folder, *lines):
    path = folder / "own.toml"
    path.write_text(
        "\n".join(['name = "own"', 'venue = "aurora"', "collateral_usd = 1000000", *lines]) + "\n"
    )
    return path


def _holding(name, contracts):
    return f'[[holding]]\ninstrument = "{name}"\ncontracts = {contracts}'


def test_a_future_in_the_book_counts(cli, small, tmp_path):
    book = _own_book(tmp_path, _holding("BTC-PERPETUAL", 1000))
    for name, *options in COMMANDS:
        ran = cli(name, small, "-b", book, *options, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["warnings"] == []
    total = cli("risk", small, "-b", book, "--json").json["total"]
    index = cli("risk", small, "-b", book, "--json").json["index"]
    assert total["delta_coin"] == pytest.approx(10 * 1000 / index, rel=0.05)


def test_what_was_not_opened_makes_the_verdict_bad(cli, small, tmp_path):
    book = _own_book(tmp_path, _holding("BTC-PERPETUAL", 1000), _holding("BTC-1JAN49-1-C", 1))
    for name, *options in COMMANDS:
        ran = cli(name, small, "-b", book, *options)
        assert ran.code == 0, ran.err
        assert "1 part of the book NOT in these figures" in " ".join(ran.out.split())
        assert "BTC-1JAN49-1-C" in ran.out


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_book_with_a_figure_that_is_none_is_a_configuration_fault(cli, small, tmp_path, value):
    line = f'[[structure]]\nkind = "put"\ntenor_days = 14\nnotional_usd = {value}'
    ran = cli("risk", small, "-b", _own_book(tmp_path, line))
    assert ran.code == 3
    assert "notional_usd" in ran.err
    assert "own.toml" in ran.err


def test_bars_of_another_coin_explain_nothing(cli, recording, tmp_path):
    import polars as pl

    chains = pl.read_parquet(recording / "chains.parquet")
    first, last = chains["ts"].min(), chains["ts"].max()
    hours = pl.datetime_range(first, last, "1h", eager=True).dt.truncate("1h")
    hours = pl.concat([hours, hours.tail(3).dt.offset_by("3h")]).unique().sort()
    bars = pl.DataFrame({"timestamp": hours, "open": [3000.0] * len(hours), "close": [3000.0] * len(hours)})
    bars.write_parquet(tmp_path / "ETH.parquet")
    ran = cli("explain", recording, "-b", BOOK, "--bars", tmp_path / "ETH.parquet")
    assert ran.code == 4
    assert "pass" in ran.err
    assert "coin" in ran.err
