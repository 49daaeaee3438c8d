import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest

import ivhedge
from ivhedge.app import checkup
from ivhedge.report import load_result

from .conftest import BOOK, EXAMPLES, POLICIES, RUN

NAMES = ["none", "delta daily", "delta band", "delta + vega"]
HEAVY = ("numpy", "polars", "numba", "scipy", "duckdb", "piqp", "pydantic", "rich")
COMMANDS = ("demo", "fit", "risk", "plan", "backtest", "report", "store", "doctor")


def book(folder, text):
    path = folder / "book.toml"
    path.write_text(f'name = "b"\nvenue = "aurora"\ncollateral_usd = 1000000\n{text}')
    return path


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# -- light and helpful ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["import ivhedge", "from ivhedge.app.cli import main; main(['--help'])"], ids=["import", "help"]
)
def test_nothing_heavy_is_loaded_before_it_is_used(code):
    script = (
        f"import sys\ntry:\n    {code.replace('; ', chr(10) + '    ')}\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_help_names_every_command(cli):
    ran = cli("--help")
    assert ran.code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", ran.out, re.M)
    assert ran.out.startswith("Usage: ivhedge [OPTIONS] COMMAND")
    bare = cli()
    assert (bare.code, bare.out) == (2, "")
    assert bare.err == ran.out


@pytest.mark.parametrize("command", [*COMMANDS, "store ingest", "store query", "store export"])
def test_every_command_has_help(cli, command):
    ran = cli(*command.split(), "--help")
    assert ran.code == 0
    assert "--help" in ran.out


def test_version(cli):
    assert cli("--version").out == f"{ivhedge.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nope"], ["fit"], ["fit", "x", "--nope"], ["demo", "--snapshots", "1"]]
)
def test_a_wrong_command_or_option_is_two(cli, arguments):
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error" in ran.err


# -- one snapshot -----------------------------------------------------------------------------------------


def test_fit_shows_tables_and_writes_a_page(cli, recording, tmp_path):
    page = tmp_path / "a [folder] with a long name that goes on and on and on" / "fit.html"
    ran = cli("fit", recording, "--html", page)
    assert ran.code == 0
    assert "BTC at 2026-01-06 00:00:00 UTC" in ran.out
    assert "inside bid and ask" in ran.out
    assert f"wrote {page}\n" in ran.out  # in one piece, brackets and all
    assert "Certified free of butterfly and calendar arbitrage" in page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small(recording, tmp_path_factory):
    """One venue's last snapshot of four expiries: quick to fit and to draw."""
    chain = pl.read_parquet(recording / "chains.parquet")
    chain = chain.filter(pl.col("ts") == pl.col("ts").max(), pl.col("venue") == chain["venue"].min())
    path = tmp_path_factory.mktemp("small") / "chains.parquet"
    chain.filter(pl.col("expiry").is_in(chain["expiry"].unique().sort().head(4).implode())).write_parquet(
        path
    )
    return path


def test_fit_draws_a_picture_and_says_where(cli, small, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "new" / "fit.png"
    ran = cli("fit", small, "--model", "essvi", "--png", picture)
    assert ran.code == 0
    assert ran.out.endswith(f"wrote {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    first = picture.read_bytes()
    assert cli("fit", small, "--model", "essvi", "--png", picture, "--json").json
    assert picture.read_bytes() == first


def test_fit_draws_in_the_terminal_where_asked(cli, small):
    plain = cli("fit", small, "--model", "essvi")
    drawn = cli("fit", small, "--model", "essvi", "--draw")
    assert "● at the money" not in plain.out  # a pipe is no terminal
    assert drawn.out.startswith(plain.out)
    assert drawn.out.count("BTC ") == plain.out.count("BTC ") + 4
    assert "● at the money" in drawn.out
    assert max(len(line) for line in drawn.out.splitlines()) <= 110
    silent = cli("fit", small, "--model", "essvi", "--draw", "--json")
    assert silent.json["model"] == "essvi"
    assert "● at the money" in silent.err


def test_fit_says_the_certificate_in_words(cli, small):
    ran = cli("fit", small, "--json")
    found = ran.json
    assert found["certificate"]["in_words"].startswith("Certified free of butterfly and calendar arbitrage; ")
    assert 0.0 < found["certificate"]["backbone_share"] <= 1.0
    taus = [row["tau"] for row in found["slices"]]
    # Forward vols put together again are the at-the-money variance of the last expiry.
    steps = [t - before for before, t in zip([0.0, *taus], taus, strict=False)]
    total = sum(row["forward_vol"] ** 2 * step for row, step in zip(found["slices"], steps, strict=True))
    assert total == pytest.approx(found["slices"][-1]["atm_vol"] ** 2 * taus[-1], rel=1e-9)
    assert all(row["forward_std_error"] > 0.0 for row in found["slices"])


@pytest.mark.parametrize("option", ["--html", "--png"])
def test_fit_names_a_place_that_cannot_be_written(cli, small, tmp_path, option):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("in the way")
    ran = cli("fit", small, "--model", "essvi", option, tmp_path / "file" / "fit")
    assert ran.code == 3
    assert "choose another path" in ran.err
    assert (tmp_path / "file").read_text() == "in the way"


def test_fit_without_matplotlib_is_told_before_the_work(cli, small, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = cli("fit", small, "--png", tmp_path / "fit.png")
    assert (ran.code, ran.out) == (3, "")
    assert "pip install 'ivhedge[plot]'" in ran.err


def test_fit_wants_two_files_for_two_outputs(cli, small, tmp_path):
    pytest.importorskip("matplotlib")
    ran = cli("fit", small, "--html", tmp_path / "a", "--png", tmp_path / "." / "a")
    assert ran.code == 3
    assert "name them apart" in ran.err


def _near_money(chain, expiry, keep):
    mine = chain.filter(pl.col("expiry") == expiry, pl.col("bid") > 0.0, pl.col("ask") > 0.0)
    otm = mine.filter(pl.col("is_call") == (pl.col("strike") >= pl.col("index")))
    kept = otm.sort((pl.col("strike") / pl.col("index")).log().abs(), "venue").head(keep)
    return pl.concat([chain.filter(pl.col("expiry") != expiry), kept])


THIN = {
    "one expiry": lambda chain, expiries: chain.filter(pl.col("expiry") == expiries[2]),
    "one quote": lambda chain, expiries: _near_money(chain, expiries[2], 1),
    "only calls": lambda chain, expiries: chain.filter(pl.col("is_call")),
    "every third bid no number": lambda chain, expiries: chain.with_columns(
        bid=pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("nan")).otherwise("bid")
    ),
}


@pytest.mark.parametrize("model", ["flexible", "essvi"])
@pytest.mark.parametrize("thin", THIN)
def test_fit_draws_what_there_is(cli, small, tmp_path, thin, model):
    pytest.importorskip("matplotlib")
    path, page, picture = tmp_path / "chains.parquet", tmp_path / "fit.html", tmp_path / "fit.png"
    chain = pl.read_parquet(small)
    THIN[thin](chain, chain["expiry"].unique().sort()).write_parquet(path)
    ran = cli("fit", path, "--model", model, "--html", page, "--png", picture, "--draw")
    assert ran.code == 0, ran.err
    assert "Certified" in ran.out
    assert page.stat().st_size > 0
    assert picture.stat().st_size > 0
    if thin == "one quote":
        own = "has no fit of its own: 1 two-sided quote,"
        note = own if model == "flexible" else "not fitted: expected 3 usable"
        assert note in " ".join(ran.out.split())


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_fit_counts_why_nothing_can_be_fitted(cli, small, tmp_path, side):
    path = tmp_path / "chains.parquet"
    pl.read_parquet(small).with_columns(pl.lit(float("nan")).alias(side)).write_parquet(path)
    ran = cli("fit", path, "--html", tmp_path / "fit.html")
    assert (ran.code, ran.err.split(":")[0]) == (5, "CalibrationError")
    assert f"non_finite ({side})" in ran.err
    assert not (tmp_path / "fit.html").exists()


def test_fit_json(cli, recording):
    found = cli("fit", recording, "--json").json
    assert found["underlying"] == "BTC"
    assert found["certificate"]["valid"] is True
    assert found["report"]["rmse_vol"] < 0.02
    assert len(found["slices"]) > 5


def test_fit_json_with_a_page_keeps_standard_output_pure(cli, recording, tmp_path):
    ran = cli("fit", recording, "--json", "--html", tmp_path / "fit.html")
    assert ran.json["underlying"] == "BTC"
    assert "wrote" in ran.err


def test_fit_takes_the_last_snapshot_at_or_before_a_time(cli, recording):
    assert cli("fit", recording, "--at", "2026-01-05T17:59", "--json").json["time"] == "2026-01-05 12:00:00"
    assert cli("fit", recording, "--at", "2026-01-05T18:00Z", "--json").json["time"] == "2026-01-05 18:00:00"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_surface_without_certificate_is_shown_and_is_five(cli, recording, monkeypatch, as_json):
    from ivhedge.surface import Violation, fit_surface

    def uncertified(*args, **options):
        fit = fit_surface(*args, **options)
        worst = Violation(
            kind="calendar", expiry_ns=0, log_moneyness=0.1, strike=1.0, size=-1e-3, n_strikes=1
        )
        return replace(fit, certificate=replace(fit.certificate, valid=False, violations=(worst,)))

    monkeypatch.setattr("ivhedge.surface.fit_surface", uncertified)
    ran = cli("fit", recording, *(["--json"] if as_json else []))
    assert ran.code == 5
    assert "ArbitrageError" in ran.err
    if as_json:
        assert ran.json["certificate"]["valid"] is False
    else:
        assert "NOT VALID" in ran.out


def test_risk(cli, recording):
    ran = cli("risk", recording, "-b", BOOK)
    assert ran.code == 0
    assert "spot × vol" in ran.out
    assert "vega by tenor and delta" in ran.out
    assert re.search(r"^ total +[−+]", ran.out, re.MULTILINE)
    assert "…" not in ran.out


def test_risk_json(cli, recording):
    found = cli("risk", recording, "-b", BOOK, "--json").json
    assert found["total"]["vega_usd_per_vol_point"] < 0
    assert len(found["legs"]) == 8
    summed = sum(leg["delta_coin"] for leg in found["legs"])
    assert summed == pytest.approx(found["total"]["delta_coin"])
    matrix = found["spot_vol"]
    assert len(matrix["pnl_usd"]) == len(matrix["spot_shocks"])
    assert {len(row) for row in matrix["pnl_usd"]} == {len(matrix["vol_shocks_points"])}


@pytest.mark.parametrize("policy", NAMES[1:])
def test_plan_json(cli, recording, policy):
    found = cli("plan", recording, "-b", BOOK, "-p", POLICIES, "--policy", policy, "--json").json
    assert found["status"] in ("ok", "best_effort", "no_action")
    assert bool(found["legs"]) == (found["status"] != "no_action")
    for leg in found["legs"]:
        assert leg["reason"]


def test_plan(cli, recording):
    ran = cli("plan", recording, "-b", BOOK, "-p", POLICIES, "--policy", "delta + vega")
    assert ran.code == 0
    assert "why" in ran.out
    assert "standard deviation of a day's profit" in ran.out
    assert "…" not in ran.out


# -- backtest and report ----------------------------------------------------------------------------------


def test_the_examples_replay_end_to_end(backtest):
    ran, out = backtest
    found = ran.json
    assert [policy["name"] for policy in found["policies"]] == NAMES
    assert all(policy["summary"]["identity_exact"] is True for policy in found["policies"])
    assert found["n_snapshots"] == 5
    result = load_result(out)
    assert result.name == "recorded chains"
    for policy in result.policies:
        assert policy.identity["difference"].to_list() == ["0"]
        assert policy.summary["residual_share_of_gross"] < 0.05
    assert "<h1>recorded chains</h1>" in (out / "report.html").read_text(encoding="utf-8")


def test_report_shows_a_saved_result_again(cli, backtest, tmp_path):
    ran, out = backtest
    page = tmp_path / "again.html"
    shown = cli("report", out, "-o", page)
    assert shown.code == 0
    assert "delta + vega" in shown.out
    assert f"report: {page}\n" in shown.out
    assert "…" not in shown.out
    assert page.read_bytes() == (out / "report.html").read_bytes()
    assert cli("report", out, "-o", page, "--json").json == ran.json


def test_a_window_is_kept(cli, recording, tmp_path):
    ran = cli(
        *("backtest", "-c", recording, "-b", BOOK, "-p", POLICIES, "-o", tmp_path, "--json"),
        *("--start", "2026-01-05T06:00", "--end", "2026-01-05T13:00"),
    )
    assert ran.json["n_snapshots"] == 2


@pytest.mark.parametrize("failure", ["window", "book", "policies", "disk"])
def test_a_failed_backtest_leaves_the_earlier_result_untouched(
    cli, recording, backtest, tmp_path, monkeypatch, failure
):
    out = tmp_path / "out"
    shutil.copytree(backtest[1], out)
    before = contents(out)
    arguments = {"-c": recording, "-b": BOOK, "-p": POLICIES, "--end": "2026-01-05T07:00", "-o": out}
    code = 4
    if failure == "window":
        arguments["--start"] = "2026-01-05T05:00"
        arguments["--end"] = "2026-01-05T05:30"
    elif failure == "book":
        arguments["-b"] = book(tmp_path, '[[holding]]\ninstrument = "BTC-26JUN26-1-C"\ncontracts = "1"\n')
    elif failure == "policies":
        arguments["-p"], code = tmp_path / "nowhere.toml", 3
    else:
        code = 3

        def full(*args, **options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    ran = cli("backtest", *(part for pair in arguments.items() for part in pair))
    assert ran.code == code, ran.err
    assert contents(out) == before
    assert load_result(out).n_snapshots == 5


def test_a_place_that_cannot_be_written_is_refused_before_the_work(cli, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for out in (tmp_path / "file", tmp_path / "file" / "deep" / "down"):
        ran = cli("backtest", "-c", tmp_path / "not even looked at", "-b", BOOK, "-p", POLICIES, "-o", out)
        assert ran.code == 3
        assert str(tmp_path / "file") in ran.err
        assert "choose another --out" in ran.err
        assert cli("demo", "-o", out).code == 3


# -- store ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(cli, recording, tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return root, cli("store", "ingest", recording, "-r", root, "--json")


def test_the_same_rows_are_stored_once(cli, recording, store):
    root, first = store
    rows = pl.read_parquet(recording / "chains.parquet").height
    assert first.json["chains"]["rows_added"] == rows
    assert first.json["futures"]["rows_added"] > 0
    again = cli("store", "ingest", recording, "-r", root)
    assert again.code == 0
    assert f"chains: 0 rows added, {rows:,} replaced" in again.out
    counted = cli("store", "query", "select count(*) as n from chains", "-r", root, "--json").json
    assert counted == {"rows": [{"n": rows}]}


def test_coverage(cli, store):
    shown = cli("store", "coverage", "-r", store[0])
    assert shown.code == 0
    for word in ("aurora", "instruments", "2026-01-05"):
        assert word in shown.out
    rows = cli("store", "coverage", "-r", store[0], "--json").json["rows"]
    assert {row["venue"] for row in rows} == {"aurora", "borealis", "cirrus", "dune", "ember"}
    assert all(row["snapshots"] == 5 and row["days"] == 2 for row in rows)


def test_query_shows_nothing_cut(cli, store):
    sql = "select * from chains order by ts, instrument_name limit 3"
    shown = cli("store", "query", sql, "-r", store[0])
    assert shown.code == 0
    assert "not shown: " in shown.out
    names = [
        row["instrument_name"] for row in cli("store", "query", sql, "-r", store[0], "--json").json["rows"]
    ]
    assert len(names) == 3
    assert all(name in shown.out for name in names)


def test_query_json_has_null_for_what_is_no_number(cli, store):
    sql = "select 'nan'::double as a, 'inf'::double as b, [1.5, 'nan'::double] as c, null as d"
    found = cli("store", "query", sql, "-r", store[0], "--json").json
    assert found == {"rows": [{"a": None, "b": None, "c": [1.5, None], "d": None}]}


def test_export_is_a_recording_again(cli, store, recording, tmp_path):
    path = tmp_path / "part.parquet"
    window = ("--start", "2026-01-06", "--end", "2026-01-06")
    done = cli("store", "export", path, "-r", store[0], *window, "--json").json
    assert done == {"path": str(path), "rows": pl.read_parquet(path).height}
    assert (
        cli("store", "export", path, "-r", store[0], *window).out
        == f"wrote {done['rows']:,} rows to {path}\n"
    )
    assert cli("fit", path, "--json").json["time"] == "2026-01-06 00:00:00"


def test_a_store_is_a_source_like_any_recording(cli, store, recording):
    stored, recorded = (cli("fit", source, "--json").json for source in (store[0], recording))
    assert stored["report"]["n_quotes"] == recorded["report"]["n_quotes"]
    assert stored["report"]["rmse_vol"] == pytest.approx(recorded["report"]["rmse_vol"], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["query", "drop table chains"], 3, "SELECT"),
        (["query", "selec"], 3, "SELECT"),
        (["query", "select nope from chains"], 4, "nope"),
        (["export", "part.csv"], 3, r"\.parquet"),
    ],
)
def test_wrong_orders_to_the_store(cli, store, arguments, code, words):
    ran = cli("store", *arguments, "-r", store[0])
    assert ran.code == code
    assert re.search(words, ran.err)


def test_an_empty_store_says_what_to_do(cli, tmp_path):
    for arguments in (["coverage"], ["query", "select 1"], ["export", tmp_path / "x.parquet"]):
        ran = cli("store", *arguments, "-r", tmp_path / "none")
        assert ran.code == 4
        assert "ingest a recording first" in ran.err


# -- demo and doctor --------------------------------------------------------------------------------------


def test_demo(cli, tmp_path):
    ran = cli("demo", "--snapshots", "2", "-o", tmp_path, "--json")
    assert ran.code == 0
    assert ran.json["underlyings"] == ["BTC", "ETH"]
    assert ran.json["seed"] == 7
    assert load_result(tmp_path).n_snapshots == 4
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


def test_doctor(cli):
    ran = cli("doctor", "--json")
    assert (ran.code, ran.json["ok"]) == (0, True), ran.out
    assert [check["name"] for check in ran.json["checks"]] == [
        "python",
        "packages",
        "pricing kernels",
        "surface and certificate",
        "quadratic solver",
        "fee profiles",
        "recorded data",
    ]


def test_doctor_tells_what_is_broken_and_goes_on(cli, monkeypatch):
    def broken():
        raise RuntimeError("[no] solver")

    monkeypatch.setattr(checkup, "_solver", broken)
    monkeypatch.setattr(checkup, "_surface", lambda: "left out")
    ran = cli("doctor")
    assert ran.code == 1
    assert "FAIL quadratic solver: RuntimeError: [no] solver" in ran.out
    assert "ok   fee profiles" in ran.out


# -- what goes wrong --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    whole = (recording / "chains.parquet").read_bytes()
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "truncated.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "not.parquet").write_text("no parquet at all")
    pl.DataFrame({"a": [1]}).write_parquet(folder / "schema.parquet")
    chains = pl.read_parquet(recording / "chains.parquet")
    chains.drop("strike").write_parquet(folder / "column.parquet")
    chains.head(0).write_parquet(folder / "rows.parquet")
    (folder / "nothing").mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "code", "kind", "remedy"),
    [
        ("nowhere.parquet", 3, "ConfigError", "check the path"),
        ("empty.parquet", 4, "EmptyData", "record it again"),
        ("truncated.parquet", 4, "DataError", "truncated"),
        ("not.parquet", 4, "DataError", "truncated"),
        ("schema.parquet", 4, "SchemaError", "found columns"),
        ("column.parquet", 4, "SchemaError", "strike"),
        ("rows.parquet", 4, "EmptyData", "found none"),
        ("nothing", 4, "EmptyData", "found none"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "risk", "backtest", "ingest"])
def test_bad_files_are_named_with_a_remedy(cli, broken, tmp_path, command, name, code, kind, remedy):
    path = broken / name
    arguments = {
        "fit": ["fit", path],
        "risk": ["risk", path, "-b", BOOK],
        "backtest": ["backtest", "-c", path, "-b", BOOK, "-p", POLICIES, "-o", tmp_path / "out"],
        "ingest": ["store", "ingest", path, "-r", tmp_path / "store"],
    }[command]
    ran = cli(*arguments)
    assert ran.code == code, ran.err
    assert ran.err.lstrip().startswith(f"{kind}: ")
    assert str(path) in ran.err
    assert remedy in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


def test_quotes_without_prices_cannot_be_fitted(cli, recording, tmp_path):
    path, blank = tmp_path / "quotes.parquet", pl.lit(None, pl.Float64)
    pl.read_parquet(recording / "chains.parquet").with_columns(bid=blank, ask=blank).write_parquet(path)
    ran = cli("fit", path, "--json")
    assert ran.code == 5
    assert ran.json["error"]["kind"] == "CalibrationError"


WRONG_ORDERS = {
    "fit {rec} -u DOGE": (4, "UnknownInstrument", r"'BTC'.*'DOGE'"),
    "fit {rec} --at 2020-01-01": (4, "EmptyData", "the first is at 2026-01-05"),
    "fit {rec} --at tomorrow": (3, "ConfigError", "ISO.*'tomorrow'"),
    "backtest -c {rec} -b {book} -p {pol} --start 2030-01-01": (4, "EmptyData", "available"),
    "backtest -c {rec} -b {book} -p {pol} --end soon": (3, "ConfigError", "'soon'"),
    "backtest -c {rec} -b {pol} -p {pol}": (3, "ConfigError", r"four_policies\.toml: name"),
    "backtest -c {rec} -b {book} -p {book}": (3, "ConfigError", r"ladder\.toml: policy"),
    "backtest -c {rec} -b {book} -p {pol} --config {book}": (3, "ConfigError", r"ladder\.toml: "),
    "backtest -c {rec} -b {book} -p {pol} --settlement-bars x.parquet": (3, "ConfigError", r"x\.parquet"),
    "plan {rec} -b {book} -p {pol} --policy nope": (3, "ConfigError", "delta band.*'nope'"),
    "plan {rec} -b {book} -p {pol} --policy none": (3, "ConfigError", "does not hedge"),
    "plan {rec} -b {book} -p {pol} --policy 'delta band' --numeraire yen": (3, "ConfigError", "'yen'"),
    "risk {rec} -b nowhere.toml": (3, "ConfigError", r"nowhere\.toml"),
    "report {rec}": (3, "ConfigError", "run a backtest first"),
}


@pytest.mark.parametrize("order", WRONG_ORDERS)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_orders(cli, recording, tmp_path, monkeypatch, as_json, order):
    code, kind, words = WRONG_ORDERS[order]
    monkeypatch.chdir(tmp_path)
    places = {"rec": recording, "book": BOOK, "pol": POLICIES}
    filled = [part.format(**places) for part in shlex.split(order)]
    ran = cli(*filled, *(["--json"] if as_json else []))
    assert ran.code == code, ran.err
    assert re.search(words, ran.err, re.S)
    assert "Traceback" not in ran.err
    if as_json:
        error = ran.json["error"]
        assert (error["kind"], error["exit_code"]) == (kind, code)
        assert re.search(words, error["message"], re.S)
    else:
        assert ran.err.lstrip().startswith(f"{kind}: ")
        assert ran.out.strip() == ""


def test_a_book_that_never_quotes_is_named(cli, recording, tmp_path):
    path = book(tmp_path, '[[holding]]\ninstrument = "BTC-26JUN26-1-C"\ncontracts = "1"\n')
    ran = cli("risk", recording, "-b", path)
    assert ran.code == 4
    assert "BTC-26JUN26-1-C was never quoted on aurora" in ran.err
    assert "check the venue, the instrument names and the window" in ran.err


def test_an_interrupt_is_told_and_is_130(cli, tmp_path, monkeypatch):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ivhedge.app.showcase.run_showcase", interrupted)
    ran = cli("demo", "-o", tmp_path)
    assert ran.code == 130
    assert ran.err.count("what was already written is intact") == 1
    assert ran.out.strip() == ""


@pytest.mark.recorded
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_the_recorded_example_replays_two_days(cli, recorded, tmp_path, coin):
    ran = cli(
        *(
            "backtest",
            "-c",
            recorded / "deribit_chains" / coin,
            "--start",
            "2026-01-05",
            "--end",
            "2026-01-06",
        ),
        *("-b", EXAMPLES / "books" / "strangle_ladder.toml", "-p", POLICIES, "--config", RUN),
        *("-o", tmp_path, "--json"),
    )
    assert ran.code == 0, ran.err
    assert ran.json["n_snapshots"] >= 8
    for policy in ran.json["policies"]:
        assert policy["summary"]["identity_exact"] is True
        assert policy["summary"]["residual_share_of_gross"] < 0.05
