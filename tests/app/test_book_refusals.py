"""What the book commands refuse, and how early: places to write, times beyond the recording, profiles."""

from datetime import timedelta

import polars as pl
import pytest

from tests.app.conftest import BOOK

COMMANDS = {
    "risk": (),
    "stress": (),
    "margin": ("--profile", "deribit_pm_btc"),
    "explain": (),
}


def run(cli, name, source, *more):
    return cli(name, source, "-b", BOOK, *COMMANDS[name], *more)


@pytest.fixture
def untouched(monkeypatch):
    """No chain is read: what is refused is refused before the work."""
    import ivhedge.market

    def read(*_args, **_options):
        raise AssertionError("chains were read before the refusal")

    monkeypatch.setattr(ivhedge.market, "read_chains", read)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["--png", "--html"])
def test_a_folder_is_no_file_to_write(cli, recording, tmp_path, untouched, name, option):
    if option == "--png":
        pytest.importorskip("matplotlib")
    ran = run(cli, name, recording, option, tmp_path)
    assert ran.code == 3
    assert f"{option}: expected a file to write, found a folder: {tmp_path}" in ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(cli, recording, tmp_path, untouched, name):
    (tmp_path / "file").write_text("x")
    ran = run(cli, name, recording, "--html", tmp_path / "file" / "page.html")
    assert ran.code == 3
    assert "--html: expected a place to write" in ran.err
    assert "choose another path" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_json_takes_no_place(cli, recording, tmp_path, untouched):
    ran = run(cli, "risk", recording, "--json", tmp_path)
    assert ran.code == 2
    assert "unexpected extra argument" in ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_is_no_book(cli, recording, tmp_path, untouched, name):
    ran = cli(name, recording, "-b", tmp_path, *COMMANDS[name])
    assert ran.code == 3
    assert f"expected a TOML file, found a folder at {tmp_path}" in ran.err


def test_a_folder_is_no_bars_and_no_catalogue(cli, recording, tmp_path, untouched):
    ran = run(cli, "explain", recording, "--bars", tmp_path)
    assert ran.code == 3
    assert f"--bars: expected a parquet file of hourly bars, found a folder at {tmp_path}" in ran.err
    ran = run(cli, "stress", recording, "--catalogue", tmp_path)
    assert ran.code == 3
    assert "expected a TOML file, found a folder" in ran.err


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ("", "venue: Field required, found none: add it"),
        ('[[holding]]\ninstrument = "BTC-PERPETUAL"\ncontracts = nan\n', "holding.0.contracts"),
        ('[[holding]]\ninstrument = "BTC-PERPETUAL"\ncontracts = "NaN"\n', "holding.0.contracts"),
    ],
)
def test_a_book_without_figures_is_refused_before_the_work(cli, recording, tmp_path, untouched, book, words):
    path = tmp_path / "own.toml"
    path.write_text(('name = "own"\nvenue = "aurora"\ncollateral_usd = 1\n' if book else "") + book)
    ran = cli("risk", recording, "-b", path)
    assert ran.code == 3
    assert words in ran.err
    assert "own.toml" in ran.err


@pytest.mark.parametrize(
    ("source", "words"), [("absent.parquet", "found nothing at"), ("empty.parquet", "found an empty file")]
)
def test_chains_that_are_none_are_refused(cli, tmp_path, source, words):
    (tmp_path / "empty.parquet").touch()
    ran = run(cli, "risk", tmp_path / source)
    assert ran.code != 0
    assert words in ran.err


def test_an_unknown_instrument_alone_is_no_book(cli, recording, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\nvenue = "aurora"\ncollateral_usd = 1\n'
        '[[holding]]\ninstrument = "BTC-1JAN49-1-C"\ncontracts = 1\n'
    )
    ran = cli("risk", recording, "-b", path)
    assert ran.code == 4
    assert "BTC-1JAN49-1-C" in ran.err
    assert "check the venue, the instrument names" in ran.err


@pytest.fixture(scope="module")
def span(recording):
    times = pl.read_parquet(recording / "chains.parquet")["ts"]
    return times.min(), times.max()


@pytest.mark.parametrize("name", ["risk", "stress", "margin"])
def test_a_time_far_beyond_the_recording_is_refused(cli, recording, span, name):
    ran = run(cli, name, recording, "--at", "2031-01-01")
    assert ran.code == 4
    assert "expected a snapshot within a day before --at 2031-01-01 00:00:00 UTC" in ran.err
    assert f"the recording holds {span[0]:%Y-%m-%d %H:%M:%S} to {span[1]:%Y-%m-%d %H:%M:%S} UTC" in ran.err


def test_a_time_soon_after_the_end_says_what_is_taken(cli, recording, span):
    late, early = (f"{at + timedelta(hours=3):%Y-%m-%dT%H:%M:%S}" for at in (span[1], span[0]))
    ran = run(cli, "risk", recording, "--at", late, "--json")
    taken = f"{span[1]:%Y-%m-%d %H:%M:%S}"
    assert ran.json["time"] == taken
    assert f"is after the end of {recording}: the recording holds" in ran.err
    assert f"taken: {taken} UTC" in ran.err
    inside = run(cli, "risk", recording, "--at", early, "--json")
    assert inside.code == 0
    assert "note:" not in inside.err


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_an_explanation_beyond_the_recording_is_refused(cli, recording, option):
    ran = run(cli, "explain", recording, option, "2031-01-01")
    assert ran.code == 4
    assert f"expected a snapshot within a day before {option} 2031-01-01" in ran.err
    assert "the recording holds" in ran.err


@pytest.mark.parametrize("end", ["2026-01-05T06:00", "2026-01-04"])
def test_a_span_that_ends_before_it_begins_is_refused(cli, recording, untouched, end):
    ran = run(cli, "explain", recording, "--from", "2026-01-05T06:00", "--to", end)
    assert ran.code == 3
    assert f"expected --from before --to, found --from 2026-01-05T06:00 and --to {end}" in ran.err


def test_a_dollar_profile_for_a_coin_book_names_those_that_fit(cli, recording):
    ran = cli("margin", recording, "-b", BOOK, "--profile", "derive_srm")
    assert ran.code == 3
    assert "expected linear positions, settled in USDC, found inverse ones, settled in BTC" in ran.err
    assert "choose a profile that counts in coin (deribit_pm_btc, deribit_sm, okx_pm)" in ran.err


def test_columns_are_asked_for_by_the_environment(cli, recording, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    ran = run(cli, "stress", recording)
    assert ran.code == 0, ran.err
    body = ran.out.splitlines()[1:]
    assert max(map(len, body)) <= 70
    rows = {row["name"]: row for row in run(cli, "stress", recording, "--json").json["stresses"]}
    words = ran.out.split()
    for row in rows.values():
        assert f"{row['equity_after_usd']:,.0f}".replace("-", "−") in words
