from pathlib import Path

import pytest

from ivhedge.report import FitView, render_fit_html, write_fit_report


@pytest.fixture
def view(make_view) -> FitView:
    return make_view()


def test_page_shows_the_fit_and_escapes_names(view: FitView) -> None:
    page = render_fit_html(view)
    assert view.verdict.replace("'", "&#x27;") in page
    assert "0.41 vol points" in page
    assert "0.245 (Lee&#x27;s bound: 2)" in page
    assert "has no fit of its own" in page
    assert "<script>X" not in page
    assert "&lt;script&gt;X" in page
    assert page.count('class="chart"') == 8  # term structure, skew, six smiles


def test_every_expiry_has_its_row_of_quality_and_its_forward(view: FitView) -> None:
    page = render_fit_html(view)
    for expiry in view.by_expiry["expiry"]:
        assert page.count(f'<td class="text">{expiry:%d %b %Y}') == 2
    assert page.count('92,100.00</td><td class="num">1.0<') == 6  # the error in basis points


def test_a_fit_without_certificate_is_refused_in_words(make_view) -> None:
    page = render_fit_html(make_view(certified=False, verdict="NOT certified: <b>."))
    assert '<li class="bad">NOT certified: &lt;b&gt;.</li>' in page


def test_works_without_rows(view: FitView, make_view, tmp_path: Path) -> None:
    tables = ("by_tenor", "by_expiry", "forwards", "worst", "drops", "smiles", "term")
    bare = make_view(notes=(), **{name: getattr(view, name).clear() for name in tables})
    assert "No data." in write_fit_report(bare, tmp_path / "fit.html").read_text(encoding="utf-8")
