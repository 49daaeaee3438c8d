import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.engine.result import RUN_TABLES, PolicyResult, empty_table
from ivhedge.report import render_html, write_report

EVIL = '<script>alert("x")</script>'


class _Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.policy = ""
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "srcset", "data", "action") or (
                name == "href" and not (value or "").startswith("#")
            ):
                self.fetched.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.fetched.append(f"handler {name}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(document: str) -> _Reader:
    reader = _Reader()
    reader.feed(document)
    return reader


def _options(document: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="chart-options">(.*?)</script>', document, re.S)
    assert found
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def document(make_result) -> str:
    return render_html(make_result(40))


def test_page_is_self_contained(document: str) -> None:
    reader = _read(document)
    assert reader.fetched == []
    assert "@import" not in document
    policy = dict(part.strip().split(" ", 1) for part in reader.policy.split(";"))
    assert policy["default-src"] == "'none'"
    scripts = re.findall(r"<script>(.*?)</script>", document, re.S)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert policy["script-src"].split() == [f"'sha256-{value}'" for value in hashes]
    assert document.startswith("<!doctype html>")
    assert document.index('<meta charset="utf-8">') < 200


def test_every_chart_has_its_place(document: str) -> None:
    options = _options(document)
    places = [name for name in _read(document).ids if name.startswith("chart-") and name != "chart-options"]
    assert sorted(options) == sorted(places)
    assert len(options) > 30
    for option in options.values():
        assert any(part["data"] for part in option["series"])


def test_every_placeholder_is_known_to_the_script(document: str) -> None:
    text = json.dumps(_options(document))
    names = set(re.findall(r'"\$(?:fn|color)": "(\w+)"', text))
    script = document[document.index("const DARK") :]
    unknown = {name for name in names if not re.search(rf"\b{name}\b", script)}
    assert names
    assert unknown == set()


def test_figures_and_sentences_are_on_the_page(document: str) -> None:
    text = " ".join(_read(document).text)
    assert re.search(r"delta \+ vega cut the standard deviation of P&L by \d+ % against none", text)
    assert "Funding: recorded 8-hour rates" in text
    assert "2 snapshots carry no future" in text
    assert "18,230" in text
    assert "4.81270431" in text
    assert '"interval_h": 6' in text


def test_text_from_data_stays_text(make_result) -> None:
    result = make_result(6, underlyings=("BTC",))
    policies = tuple(
        replace(
            policy,
            name=policy.name + EVIL,
            description=EVIL,
            trades=policy.trades.with_columns(
                pl.lit(EVIL).alias("instrument"), pl.lit("</td>" + EVIL).alias("reason")
            ),
            journal=policy.journal.with_columns(pl.lit(EVIL).alias("detail")),
        )
        for policy in result.policies
    )
    result = replace(
        result,
        name=EVIL,
        policies=policies,
        warnings=(EVIL,),
        assumptions=(EVIL,),
        config={EVIL: EVIL},
        smiles=result.smiles.with_columns(pl.lit(EVIL).alias("venue")),
        drops=result.drops.with_columns(pl.lit(EVIL).alias("reason")),
        stages=result.stages.with_columns(pl.lit(EVIL).alias("stage")),
    )
    document = render_html(result)
    assert EVIL not in document
    assert _read(document).scripts == 3  # options, charting library, page script
    assert EVIL in json.dumps(_options(document)).replace('\\"', '"')


@pytest.mark.parametrize("name", RUN_TABLES)
def test_works_when_a_table_is_empty(make_result, name: str) -> None:
    result = replace(make_result(6, underlyings=("BTC",)), **{name: empty_table(RUN_TABLES[name])})
    assert "Reproducibility" in render_html(result)


def test_works_when_everything_is_empty(make_result) -> None:
    empty = {name: pl.DataFrame() for name in RUN_TABLES}
    nothing = PolicyResult(
        name="none",
        description="",
        equity=pl.DataFrame(),
        attribution=pl.DataFrame(),
        trades=pl.DataFrame(),
        summary={},
    )
    bare = make_result(3, policies=(nothing,), warnings=(), assumptions=(), config={}, seed=None, **empty)
    assert "No data." in render_html(bare)
    without = render_html(replace(bare, policies=()))
    assert "No surface was fitted" in without
    assert _options(without) == {}


def test_missing_numbers_show_as_dashes_not_as_nan(make_result) -> None:
    result = make_result(6, underlyings=("BTC",))
    holes = result.surfaces.with_columns(pl.lit(None, pl.Float64).alias("rmse_vol"))
    broken = result.smiles.with_columns(pl.lit(float("nan")).alias("mid_iv"))
    document = render_html(replace(result, surfaces=holes, smiles=broken))
    shown = re.sub(r"<(script|style).*?</\1>", "", document, flags=re.S)
    assert '<div class="value">–</div><div class="label">rmse in vol points' in shown
    assert not re.search(r"\bnan\b", shown, re.I)
    assert "NaN" not in json.dumps(_options(document))


def test_report_is_written_in_one_step(make_result, tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    assert write_report(make_result(3, underlyings=("BTC",)), target) == target
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    assert target.read_text(encoding="utf-8").endswith("</html>\n")


def test_a_place_that_cannot_be_written_is_an_error_with_a_remedy(make_result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ConfigError, match="choose another path"):
        write_report(make_result(3, underlyings=("BTC",)), tmp_path / "file" / "report.html")
    assert (tmp_path / "file").read_text() == "kept"
