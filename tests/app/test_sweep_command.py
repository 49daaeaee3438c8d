"""`ivhedge sweep`: the folder it leaves, resuming, and what it says of a bad specification."""

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from ivhedge.app.sweepconfig import load_sweep
from ivhedge.core.errors import ConfigError, DataError
from ivhedge.engine.sweep import RecordedPeriod
from tests.app.conftest import BOOK, EXAMPLES

SPEC = f"""
name = "small"
books = ["{BOOK}"]
baseline = "none"
criterion = "std"
[simulation]
seeds = [1, 2]
snapshots = 4
underlyings = ["BTC"]
[[policy]]
name = "none"
kind = "none"
[[policy]]
name = "band"
kind = "delta"
[policy.grid]
delta_band = [0.01, 0.05]
[walk_forward]
train = 1
[bootstrap]
block = 1
resamples = 100
"""


def written(tmp_path, text=SPEC):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def swept(cli, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    ran = cli("sweep", written(folder), "--out", folder / "out", "--json")
    assert ran.code == 0, ran.err
    return ran, folder


def test_the_folder_holds_everything(swept):
    ran, folder = swept
    out = folder / "out"
    assert len(list((out / "runs").glob("*.json"))) == 6
    table = pl.read_parquet(out / "runs.parquet")
    assert table["status"].to_list() == ["done"] * 6
    assert table["identity_exact"].all()
    assert set(table["variant"]) == {"none", "band delta_band=0.01", "band delta_band=0.05"}
    assert json.loads((out / "sweep.json").read_text()) == ran.json
    assert ran.json["variants_tried"] == 3
    assert {row["sample"] for row in ran.json["comparison"]} == {"all", "out of sample"}
    assert len(ran.json["walk_forward"]) == 1


def test_the_page_is_one_file_and_shows_the_losers_too(swept):
    page = (swept[1] / "out" / "report.html").read_text()
    assert "Content-Security-Policy" in page
    for text in (
        "Out of sample",
        "Score less baseline",
        "band delta_band=0.05",
        "Score in sample",
        "heatmap",
    ):
        assert text in page
    assert "chosen by walk-forward" in page
    assert "3 variants were tried" in page


def test_it_goes_on_only_when_asked(cli, swept):
    _, folder = swept
    ran = cli("sweep", folder / "sweep.toml", "--out", folder / "out")
    assert ran.code == ConfigError.exit_code
    assert "--resume" in ran.err
    again = cli("sweep", folder / "sweep.toml", "--out", folder / "out", "--resume")
    assert again.code == 0, again.err
    assert "out of sample" in again.out
    assert "variants were tried" in again.out


def test_a_larger_grid_takes_over_what_is_done(cli, swept, tmp_path):
    """Ids do not depend on the rest of the sweep, so a sweep can grow."""
    spec = load_sweep(written(tmp_path, SPEC.replace("[0.01, 0.05]", "[0.01]")))
    assert spec.n_runs == 4
    from ivhedge.engine.sweep import plan_runs

    held = {path.stem for path in (swept[1] / "out" / "runs").iterdir()}
    assert {run.id for run in plan_runs(spec)[0]} < held


@pytest.mark.slow
def test_a_killed_sweep_is_resumed(swept, tmp_path):
    """Ctrl-C in the middle, with two workers; the rest is done afterwards, with the same bits."""
    command = [sys.executable, "-c", "from ivhedge.app.cli import main; main()", "sweep"]
    arguments = [str(written(tmp_path)), "--out", str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(command + arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    runs = tmp_path / "out" / "runs"
    while process.poll() is None and not list(runs.glob("*.json")):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    if process.returncode:
        assert process.returncode == 130
        assert b"intact" in said
    subprocess.run([*command, *arguments, "--resume"], check=True, capture_output=True, timeout=300)
    kept = {path.name: path.read_bytes() for path in (swept[1] / "out" / "runs").iterdir()}
    assert {path.name: path.read_bytes() for path in runs.iterdir()} == kept


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[walk_forward]", "[walk_foward]", "walk_foward: Extra inputs are not permitted"),
        ('kind = "delta"', 'kind = "gamma"', "policy 'band' at delta_band=0.01: kind: Input should be"),
        ("delta_band = [0.01", "delta_bnd = [0.01", "delta_bnd: Extra inputs"),
        ("delta_band = [0.01, 0.05]", "delta_band = 0.01", "expected a table of lists"),
        ("delta_band = [0.01, 0.05]", 'kind = ["delta"]', "either in the policy or in its grid"),
        ('baseline = "none"', 'baseline = "nothing"', "expected the baseline to be one of the variants"),
        ('criterion = "std"', 'criterion = "luck"', "criterion: Input should be"),
        ("train = 1", "train = 2", "more than 2 periods"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "found twice"),
        ("[simulation]", "[periods]", r"periods.start: Field required"),
        ('underlyings = ["BTC"]', 'underlyings = ["DOGE"]', "DOGE"),
        ("resamples = 100", "resamples = 1", "resamples"),
        ("[walk_forward]", '[[exclude]]\npolicy = "nobody"\n[walk_forward]', "unknown policy 'nobody'"),
        ("[walk_forward]", "[[exclude]]\n[walk_forward]", "without a condition"),
        ("[walk_forward]", "[[exclude]]\nparameters = {x = 1}\n[walk_forward]", "unknown parameters"),
        ("delta_band = [0.01, 0.05]", "delta_band = [0.01, 0.01]", "found twice"),
        (str(BOOK), "nowhere.toml", "nothing at"),
        ('name = "small"', "name =", "not a TOML file"),
    ],
)
def test_a_bad_specification_is_told(cli, tmp_path, old, new, message):
    assert old in SPEC
    ran = cli("sweep", written(tmp_path, SPEC.replace(old, new, 1)), "--out", tmp_path / "out")
    assert ran.code == ConfigError.exit_code, ran.err
    assert message in ran.err
    assert not (tmp_path / "out").exists()


RECORDED = SPEC.replace(
    '[simulation]\nseeds = [1, 2]\nsnapshots = 4\nunderlyings = ["BTC"]',
    '[data]\nchains = "nowhere"\nunderlyings = ["BTC"]\n'
    '[periods]\nstart = "2026-01-01"\nend = "2026-01-07"\ndays = 3',
)


def test_recorded_windows_follow_each_other(recording, tmp_path):
    spec = load_sweep(written(tmp_path, RECORDED), chains=recording)
    first, second = spec.periods
    assert isinstance(first, RecordedPeriod)
    assert [first.name, second.name] == ["2026-01-01", "2026-01-04"]
    assert first.end == second.start


def test_a_period_without_data_is_refused_before_anything_runs(cli, recording, tmp_path):
    text = RECORDED.replace("2026-01-01", "2001-01-01").replace("2026-01-07", "2001-01-07")
    ran = cli("sweep", written(tmp_path, text), "--chains", recording, "--out", tmp_path / "out")
    assert ran.code == 4
    assert "2001-01-01" in ran.err
    assert not (tmp_path / "out" / "runs").exists()


def test_a_book_that_never_opens_fails_every_run(cli, tmp_path):
    book = tmp_path / "book.toml"
    book.write_text(BOOK.read_text().replace('venue = "aurora"', 'venue = "nowhere"'))
    ran = cli("sweep", written(tmp_path, SPEC.replace(str(BOOK), str(book))), "--out", tmp_path / "out")
    assert ran.code == DataError.exit_code
    assert "none of 6 runs finished" in ran.err
    table = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert table["status"].to_list() == ["failed"] * 6
    assert table["error"].null_count() == 0


def test_sources_are_told_apart(cli, recording, tmp_path):
    ran = cli("sweep", written(tmp_path), "--chains", recording, "--out", tmp_path / "out")
    assert "found a simulated one" in ran.err
    ran = cli("sweep", written(tmp_path, RECORDED), "--out", tmp_path / "out")
    assert "found nothing at" in ran.err
    ran = cli(
        "sweep", written(tmp_path), "--workers", "2", "--cluster", "tcp://x:1", "--out", tmp_path / "out"
    )
    assert "either --workers or --cluster" in ran.err
    ran = cli("sweep", written(tmp_path), "--workers", "0", "--out", tmp_path / "out")
    assert "one worker or more" in ran.err


@pytest.mark.parametrize("name", ["simulated_bands", "recorded_bands"])
def test_the_examples_are_valid(name, recording):
    path = EXAMPLES / "sweeps" / f"{name}.toml"
    spec = load_sweep(path, chains=recording if name.startswith("recorded") else None)
    assert spec.n_runs > 10
