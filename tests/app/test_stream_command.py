"""`ivhedge tape` and `ivhedge stream`: what they show, write and refuse."""

import io
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from ivhedge.app.streamsave import frame_to_dict
from ivhedge.app.streamview import StreamView, Tally, frame_line, summary_lines
from ivhedge.engine.streaming import ManualPacer, replay
from ivhedge.market.tape import read_tape, write_tape
from tests.engine.streaming import _bed as bed


@pytest.fixture(scope="module")
def good():
    return bed.tape(bed.minute(np.random.default_rng(1), seconds=9))


@pytest.fixture(scope="module")
def path(good, tmp_path_factory):
    place = tmp_path_factory.mktemp("tapes") / "good.parquet"
    write_tape(good, place)
    return place


@pytest.fixture(scope="module")
def troubled():
    """A good venue, one whose clock is 5 s ahead, one with gaps, one that halts, one that sends rubbish."""
    rng = np.random.default_rng(5)
    sound = bed.minute(rng, venue="anchor", seconds=14)
    ahead = bed.minute(rng, venue="ahead", seconds=14, clock_ns=5 * bed.S)
    gappy = bed.minute(rng, venue="gappy", seconds=14).filter(pl.col("seq") % 11 != 0)
    halted = bed.minute(rng, venue="halted", seconds=2)
    rubbish = bed.minute(rng, venue="rubbish", seconds=14).with_columns(
        bid=pl.when(pl.col("seq") % 2 == 0).then(float("nan")).otherwise(pl.col("bid") * 2.0)
    )
    names = ("anchor", "ahead", "gappy", "halted", "rubbish")
    return bed.tape(sound, ahead, gappy, pl.concat([gappy[-3:]] * 2), halted, rubbish, venues=names)


def drawn(frame, width=130):
    screen = Console(file=io.StringIO(), width=width, force_terminal=False)
    screen.print(StreamView(frame=frame, underlying="BTC", speed=60.0, done=0.5))
    return screen.file.getvalue()


def row(text, name):
    return next(line for line in text.splitlines() if line.startswith(f"│{name} "))


def test_a_tape_is_made_of_a_recording_and_shown(cli, recording, tmp_path):
    out = tmp_path / "deep" / "t.parquet"
    ran = cli("tape", recording / "chains.parquet", "--out", out)
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(recording / "chains.parquet").height
    assert f"{rows:,}" in ran.out
    assert len(read_tape(out)) == rows
    shown = cli("tape", out, "--json").json["tapes"][0]
    assert (shown["messages"], shown["underlying"]) == (rows, "BTC")
    assert shown["bytes"] == out.stat().st_size
    played = cli("stream", "--replay", out, "--every", "10min", "--save", tmp_path / "kept")
    assert played.code == 0, played.err
    assert "free of arbitrage" in played.out
    kept = pl.read_parquet(tmp_path / "kept" / "venues.parquet")
    last = kept.filter(pl.col("number") == kept["number"].max())
    assert last["messages"].sum() == rows
    assert last.height == 5
    surfaces = pl.read_parquet(tmp_path / "kept" / "surfaces.parquet")
    assert (surfaces["atm_error"] > 0.0).all()
    assert json.loads((tmp_path / "kept" / "summary.json").read_text())["held"] == 0


def test_part_of_a_recording(cli, recording, tmp_path):
    out = tmp_path / "t.parquet"
    ran = cli("tape", recording, "-o", out, "--to", "2026-01-05T06:00", "-u", "BTC", "--json")
    assert ran.code == 0, ran.err
    whole = pl.read_parquet(recording / "chains.parquet")
    assert 0 < ran.json["tapes"][0]["messages"] < whole.height


def test_a_line_a_publication_and_a_summary_in_a_pipe(cli, path, good):
    ran = cli("stream", "--replay", path)
    assert ran.code == 0, ran.err
    frames = list(replay(good, clock=ManualPacer(0)))
    lines = ran.out.splitlines()
    assert lines[: len(frames)] == [frame_line(frame) for frame in frames]
    assert "ATM vol %" in ran.out
    assert f"{len(good):,} messages, {len(frames)} publications" in ran.out
    assert "\x1b" not in ran.out


def test_json_lines_are_the_same_at_any_speed(cli, path, tmp_path):
    texts = []
    for n, speed in enumerate((0, 200)):
        out = tmp_path / f"{n}.jsonl"
        ran = cli("stream", "--replay", path, "--speed", speed, "--json", out)
        assert ran.code == 0, ran.err
        texts.append(out.read_text())
    assert texts[0] == texts[1]
    values = [json.loads(line) for line in texts[0].splitlines()]
    assert values[-1]["messages"] == len(read_tape(path))
    assert values[-1]["status"] == "certified"
    assert all(e["atm_vol"] == pytest.approx(0.6, abs=0.005) for e in values[8]["expiries"])


def test_json_on_standard_output_leaves_words_to_standard_error(cli, path):
    ran = cli("stream", "--replay", path, "--json", "-", "--until", "2026-01-05T12:00:08", "--certify")
    assert ran.code == 0, ran.err
    values = [json.loads(line) for line in ran.out.splitlines()]
    assert values[0]["arbitrage_free"] is None
    assert values[-1]["arbitrage_free"] is True
    assert "publications" in ran.err


def test_the_view_shows_surface_and_venues(troubled):
    frames = list(replay(troubled, clock=ManualPacer(0), speed=60.0))
    text = drawn(frames[13])
    assert "BTC  2026-01-05 12:00:14 UTC  free of arbitrage  60 x, 50% of the tape" in text
    assert text.count("60.0") >= 4
    assert "good" in text
    assert "stale" not in text
    assert "blind" not in text
    assert "future" in row(text, "ahead")
    assert "clock is 5.0 s ahead" in row(text, "ahead")
    assert "-5.00" in row(text, "ahead")
    assert "not finite" in row(text, "rubbish")
    assert "crossed" in row(text, "rubbish")
    assert "silent for 1" in row(text, "halted")
    assert "repeated" in row(drawn(frames[-1]), "gappy")
    assert "stale" in drawn(frames[-1])
    missing = frames[-1].venues[2].sequence.missing
    assert missing > 0
    assert f" {missing} " in row(drawn(frames[-1]), "gappy")
    first = drawn(frames[0])
    assert "WAITING" in first
    assert "without a surface yet: 2026-01-08" in first
    # A narrow terminal still shows something.
    assert "free of arbitrage" in drawn(frames[13], width=60)


def test_what_went_wrong_is_said(troubled):
    frames = list(replay(troubled, clock=ManualPacer(0)))
    bad = replace(
        frames[-1], arbitrage_free=False, status="held", failed_fits=2, note="no luck", clock_back=3
    )
    text = drawn(bad)
    for words in ("HELD", "DENSE CHECK FAILED", "2 fits failed", "no luck", "ran back 3 times"):
        assert words in text
    assert "DENSE CHECK FAILED" in frame_line(bad)
    tally = Tally()
    tally.take(bad)
    said = "\n".join(summary_lines(tally, bad, 2.0))
    for words in ("1 held", "FAILED the dense check", "no luck", "messages/s"):
        assert words in said
    assert frame_to_dict(bad)["arbitrage_free"] is False


def test_an_interrupt_ends_with_the_summary(cli, path, tmp_path, monkeypatch):
    def cut(tape, **options):
        for number, frame in enumerate(replay(tape, **options)):
            if number == 8:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr("ivhedge.engine.streaming.replay", cut)
    out = tmp_path / "cut.jsonl"
    ran = cli("stream", "--replay", path, "--json", out)
    assert ran.code == 130
    assert "8 publications" in ran.out
    assert "interrupted" in ran.err
    assert len(out.read_text().splitlines()) == 8


def test_a_failed_dense_check_is_an_error(cli, path, monkeypatch):
    def spoiled(tape, **options):
        for frame in replay(tape, **options):
            yield replace(frame, arbitrage_free=frame.number != 9)

    monkeypatch.setattr("ivhedge.engine.streaming.replay", spoiled)
    ran = cli("stream", "--replay", path, "--certify")
    assert ran.code == 5
    assert "found 1 that are not" in ran.err
    assert "1 publications FAILED the dense check" in ran.out


def test_what_is_refused(cli, path, good, tmp_path, recording):
    empty, text, table, few = (tmp_path / f"{n}.parquet" for n in ("empty", "text", "table", "few"))
    empty.write_bytes(b"")
    text.write_text("no tape")
    pl.DataFrame({"x": [1]}).write_parquet(table)
    write_tape(bed.tape(good.messages[:3]), few)
    nan = tmp_path / "nan.parquet"
    write_tape(bed.tape(good.messages.with_columns(bid=pl.lit(float("nan")))), nan)
    missing = tmp_path / "none.parquet"
    for arguments, words, code in (
        (("stream",), "--replay TAPE", 3),
        (("stream", "--replay", missing), "found nothing", 3),
        (("stream", "--replay", tmp_path), "found a folder", 3),
        (("stream", "--replay", empty), "empty file", 4),
        (("stream", "--replay", text), "Parquet", 4),
        (("stream", "--replay", table), "another Parquet file", 4),
        (("stream", "--replay", few), "3 kept", 5),
        (("stream", "--replay", nan), "not_finite", 5),
        (("stream", "--replay", path, "--every", "soon"), "--every", 3),
        (("stream", "--replay", path, "--every", "0s"), "every_s", 3),
        (("stream", "--replay", path, "--speed", "-2"), "speed", 3),
        (("stream", "--replay", path, "--until", "2020-01-01"), "the tape holds", 4),
        (("stream", "--replay", path, "--from", "yesterday"), "ISO", 3),
        (("stream", "--replay", path, "--json", text / "x.jsonl"), "--json", 3),
        (("stream", "--replay", path, "--save", text / "x"), "--save", 3),
        (("tape", missing), "found nothing", 3),
        (("tape", table), "another Parquet file", 4),
        (("tape", missing, "--out", tmp_path / "o.parquet"), "found nothing", 3),
        (("tape", table, "--out", tmp_path / "o.parquet"), "expected", 4),
        (("tape", recording, "--out", text / "o.parquet"), "place to write", 3),
        (("tape", recording, "--out", tmp_path / "o.parquet", "-u", "XYZ"), "XYZ", 4),
    ):
        ran = cli(*arguments)
        assert ran.code == code, (arguments, ran.code, ran.err)
        assert words in ran.err, (arguments, ran.err)
        assert "Traceback" not in ran.err
        assert len(ran.err.splitlines()) == 1, ran.err
    assert not (tmp_path / "o.parquet").exists()


@pytest.mark.recorded
def test_recorded_tickers(cli, recorded, tmp_path):
    out = tmp_path / "t.parquet"
    ran = cli("tape", recorded / "deribit_tickers", "--out", out)
    assert ran.code == 0, ran.err
    played = cli("stream", "--replay", out, "--every", "10s", "--certify", "--save", tmp_path / "kept")
    assert played.code == 0, played.err
    summary = json.loads((tmp_path / "kept" / "summary.json").read_text())
    assert (summary["held"], summary["failed_checks"]) == (0, 0)
    assert summary["last"]["messages"] == 6628
    surfaces = pl.read_parquet(tmp_path / "kept" / "surfaces.parquet")
    assert surfaces["atm_vol"].is_between(0.05, 2.0).all()
