"""What a command prints: tables and progress for people, or one JSON value on standard output."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ivhedge.core.errors import IvHedgeError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "emit_json", "plain", "progress_bar", "report_error", "say"]


_PIPE_WIDTH = 110


def console(*, as_json: bool = False) -> "Console":
    """Console for people; on standard error when standard output belongs to JSON."""
    from rich.console import Console

    target = sys.stderr if as_json else sys.stdout
    # A width that is asked for holds for pipes too.
    known = target.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(stderr=as_json, width=None if known else _PIPE_WIDTH)


def say(screen: "Console", text: str) -> None:
    """Print a line as it is: brackets are text, and a path stays in one piece."""
    screen.print(text, markup=False, highlight=False, soft_wrap=True)


def plain(value: object) -> object:
    """Bring a value to JSON: times and decimals as text, what is not finite as null."""
    if isinstance(value, float):
        # Adding zero takes the sign from a zero.
        return value + 0.0 if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def emit_json(value: Mapping[str, object]) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def report_error(error: IvHedgeError, *, as_json: bool) -> None:
    """Tell what went wrong: a line on standard error, and a JSON value if that was asked for."""
    kind = type(error).__name__
    if as_json:
        emit_json({"error": {"kind": kind, "message": str(error), "exit_code": error.exit_code}})
    sys.stderr.write(f"{kind}: {error}\n")


@contextmanager
def progress_bar(title: str, total: int | None, target: "Console") -> Iterator[Callable[[int], None]]:
    """Show a progress bar while work goes on; yields a function that takes the number done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=target, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
