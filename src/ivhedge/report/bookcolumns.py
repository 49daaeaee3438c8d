"""Columns of a table in a given room: words give way first, numbers never; what is left goes below."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Column", "fit_columns"]

_LEAST_NAME = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column asks for, in any one unit of length.

    Parameters
    ----------
    full : float
        Width of its longest cell.
    least : float
        Width below which it cannot be read; `full` for numbers.
    """

    full: float
    least: float


def fit_columns(columns: Sequence[Column], room: float, *, gap: float) -> list[list[tuple[int, float]]]:
    """Share a room among columns; in blocks one below the other if it is too small for all of them.

    The first column names the rows and stands in every block.

    Parameters
    ----------
    columns : sequence of Column
    room : float
        Width of a block.
    gap : float
        Between two columns.

    Returns
    -------
    list of list of (column, width)
        Blocks. Widths are at least `least`, but for a block of its own that is too narrow for one column,
        where the first column gives way.
    """
    if not columns:
        return []
    blocks: list[list[int]] = [[0]]
    used = columns[0].least
    for place in range(1, len(columns)):
        need = gap + columns[place].least
        if used + need > room and len(blocks[-1]) > 1:
            blocks.append([0])
            used = columns[0].least
        blocks[-1].append(place)
        used += need
    return [_shared(block, columns, room - gap * (len(block) - 1)) for block in blocks]


def _shared(block: Sequence[int], columns: Sequence[Column], room: float) -> list[tuple[int, float]]:
    """Least widths, and what is left of the room to those that want more, in equal parts."""
    widths = {place: columns[place].least for place in block}
    left = room - sum(widths.values())
    if left < 0:
        widths[block[0]] = max(widths[block[0]] + left, min(_LEAST_NAME, columns[block[0]].full))
    wanting = sorted(block, key=lambda place: columns[place].full - columns[place].least)
    for rank, place in enumerate(wanting):
        more = min(columns[place].full - widths[place], max(left, 0.0) / (len(wanting) - rank))
        widths[place] += max(more, 0.0)
        left -= max(more, 0.0)
    return [(place, widths[place]) for place in block]
