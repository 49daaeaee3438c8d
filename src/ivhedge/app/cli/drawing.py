"""Options and steps shared by the commands that draw a book: terminal, page, picture, JSON."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.core.errors import ConfigError

if TYPE_CHECKING:
    from ivhedge.report import BookView

__all__ = ["HtmlPath", "PngPath", "check_drawings", "show"]

HtmlPath: TypeAlias = Annotated[Path | None, typer.Option("--html", help="Write a page here.")]
PngPath: TypeAlias = Annotated[
    Path | None, typer.Option("--png", help="Draw a picture here; needs matplotlib: ivhedge[plot].")
]


def check_drawings(html: Path | None, png: Path | None) -> None:
    """Refuse what could not be drawn, before the work.

    Raises
    ------
    ConfigError
        If matplotlib is missing, both files are one, or one is a folder or in a folder that cannot be
        written.
    """
    from ivhedge.report import require_matplotlib

    for option, path in (("--html", html), ("--png", png)):
        if path is not None:
            _require_writable(option, path)
    if png is not None:
        require_matplotlib()
        if html is not None and png.resolve() == html.resolve():
            raise ConfigError(f"expected two files, found --html and --png both {png}; name them apart")


def _require_writable(option: str, path: Path) -> None:
    """Refuse a place where no file can be written; nothing is left there."""
    if path.is_dir():
        raise ConfigError(f"{option}: expected a file to write, found a folder: {path}; add a file name")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        # What the rights say is not all: a file system may be read-only.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise ConfigError(
            f"{option}: expected a place to write {path}, found: {folder}: {exc.strerror or exc}; "
            "choose another path"
        ) from exc


def show(
    view: "BookView", value: Mapping[str, object], *, as_json: bool, html: Path | None, png: Path | None
) -> None:
    """Print a view, or its JSON, and write its page and picture."""
    from ivhedge.core.units import format_ns
    from ivhedge.report import book_tables, write_book_png, write_book_report

    screen = console(as_json=as_json)
    if as_json:
        emit_json(value)
    else:
        say(screen, f"{view.title} at {format_ns(view.ts_ns)} UTC")
        for part in book_tables(view):
            screen.print(part)
    if html is not None:
        write_book_report(view, html)
        say(screen, f"wrote {html}")
    if png is not None:
        write_book_png(view, png)
        say(screen, f"wrote {png}")
