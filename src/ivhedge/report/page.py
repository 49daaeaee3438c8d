"""One self-contained page: styles, scripts and data inline, nothing fetched.

The page carries a content security policy that forbids every request and every script but the two whose
hashes it names, so even a text that slipped through the escaping could not run.
"""

import base64
import hashlib
from importlib.resources import files

from ivhedge.report.charts.style import Chart, Option
from ivhedge.report.markup import Markup, join, json_block, tag

__all__ = ["Page", "panel"]


class Page:
    """Collects sections and charts, then writes the document."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._sections: list[tuple[str, str, Markup]] = []
        self._options: dict[str, Option] = {}

    def chart(self, chart: Chart | None, *, width: str = "") -> Markup:
        """Place a chart in a panel; no chart, no panel.

        Parameters
        ----------
        chart : Chart or None
        width : str
            ``""`` half, ``"third"`` or ``"full"`` of the page.
        """
        if chart is None:
            return Markup()
        name = f"chart-{len(self._options)}"
        self._options[name] = chart.option
        place = tag("div", id=name, class_="chart", style=f"height:{chart.height}px")
        return panel(chart.title, chart.note, place, width=width)

    def section(self, name: str, heading: str, *content: Markup) -> None:
        """Add a section; one without content says so."""
        body = join(content)
        self._sections.append((name, heading, body or tag("p", "No data.", class_="empty")))

    def render(self, header: Markup) -> str:
        """Write the document."""
        links = tag("nav", *(tag("a", heading, href=f"#{name}") for name, heading, _ in self._sections))
        sections = [
            tag("section", tag("h2", heading), body, id=name) for name, heading, body in self._sections
        ]
        scripts = [_asset("echarts.min.js"), _asset("report.js")] if self._options else []
        data = tag("script", json_block(self._options), type="application/json", id="chart-options")
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="referrer", content="no-referrer"),
            tag("title", self._title),
            tag("style", Markup(_asset("report.css"))),
        )
        body = tag(
            "body",
            header,
            links,
            *sections,
            data,
            *(tag("script", Markup(text)) for text in scripts),
        )
        return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def panel(title: str, note: str, *content: Markup, width: str = "") -> Markup:
    """Frame content with a heading and a note."""
    head = tag("header", tag("h3", title), tag("span", note, class_="note"))
    return tag("div", head, *content, class_=f"panel {width}".strip())


def _asset(name: str) -> str:
    return files("ivhedge.report").joinpath("assets", name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes or chr(39) + 'none' + chr(39)}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
