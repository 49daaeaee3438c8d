"""HTML that escapes by default: text is text unless it was built here."""

import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Markup", "join", "json_block", "rounded", "table", "tag"]

_VOID = frozenset({"meta", "br", "hr"})
_UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE = re.compile("[<>&\u2028\u2029]")
_DIGITS = 7


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def _escaped(part: object) -> str:
    return part if isinstance(part, Markup) else html.escape(str(part), quote=True)


def tag(name: str, /, *children: object, **attributes: str | int | None) -> Markup:
    """Build an element; children that are not `Markup` are escaped.

    Attribute names may carry a trailing underscore (``class_``) and use ``_`` for ``-``; an attribute
    that is None is left out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{''.join(_escaped(child) for child in children)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Put parts one after the other, escaping those that are not `Markup`."""
    return Markup("".join(_escaped(part) for part in parts))


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    text_columns: Iterable[int] = (0,),
    wrapped_columns: Iterable[int] = (),
    class_: str = "",
) -> Markup:
    """Build a table: columns of right-aligned numbers but for those of text, of which some may wrap."""
    as_text, wraps = frozenset(text_columns), frozenset(wrapped_columns)

    def row(cell: str, values: Sequence[object]) -> Markup:
        cells = (
            tag(cell, value, class_="text wrap" if place in wraps else "text" if place in as_text else "num")
            for place, value in enumerate(values)
        )
        return tag("tr", *cells)

    head = tag("thead", row("th", headings))
    body = tag("tbody", *(row("td", values) for values in rows))
    return tag("div", tag("table", head, body, class_=class_ or None), class_="scroll")


def rounded(value: object) -> object:
    """Make a value fit for JSON in a page: floats to seven digits, not finite = null."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def json_block(value: object) -> Markup:
    """Write JSON that is safe inside a script element."""
    text = json.dumps(rounded(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(_UNSAFE.sub(lambda found: _UNSAFE_IN_SCRIPT[found.group()], text))
