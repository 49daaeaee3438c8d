"""What there is to see of a book: the one source of the page, the figure and the terminal.

Exposures, margin, stress and explained profit are all shown as tables, heat maps and bars.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray

__all__ = ["Bars", "BookView", "HeatMap", "TableView", "Unit"]

Unit: TypeAlias = Literal["usd", "coin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A table of words and formatted numbers.

    Parameters
    ----------
    title, note : str
        The note names units.
    headings : tuple of str
    rows : tuple of tuple of str
        As many cells as headings.
    text : tuple of int
        Columns of words; the others are numbers, aligned to the right.

    Raises
    ------
    DataError
        If a row has another number of cells.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    text: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.headings)]:
            raise DataError(f"{self.title}: expected {len(self.headings)} cells a row, found {wrong[0]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Numbers over two axes, coloured by sign and size.

    Parameters
    ----------
    title, note : str
    across, down : str
        Names of the axes.
    columns, rows : tuple of str
        Labels, in the order to show: left to right, top to bottom.
    values : FloatArray, shape (rows, columns)
        NaN is shown as unknown.
    unit : {"usd", "coin"}

    Raises
    ------
    DataError
        If the shape is another.
    """

    title: str
    across: str
    down: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: FloatArray
    unit: Unit = "usd"
    note: str = ""

    def __post_init__(self) -> None:
        expected = (len(self.rows), len(self.columns))
        if self.values.shape != expected:
            raise DataError(f"{self.title}: expected values of shape {expected}, found {self.values.shape}")

    @property
    def shade(self) -> FloatArray:
        """Signed root of each value over the largest, in [-1, 1]: small gains differ from small losses."""
        known = np.abs(self.values[np.isfinite(self.values)])
        reach = float(known.max(initial=0.0)) or 1.0
        return np.asarray(np.sign(self.values) * np.sqrt(np.abs(self.values) / reach))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Signed amounts side by side, the first on top.

    Parameters
    ----------
    title, note : str
    names : tuple of str
    values : tuple of float
        Finite, one per name.
    unit : {"usd", "coin"}

    Raises
    ------
    DataError
        If the lengths differ or a value is not finite.
    """

    title: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    unit: Unit = "usd"
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.names) != len(self.values) or not np.isfinite(self.values).all():
            raise DataError(
                f"{self.title}: expected one finite value per name; count what is not known apart"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """What there is to see of a book in one respect.

    Parameters
    ----------
    title : str
    ts_ns : int
    verdict : str
        The answer in one line of words.
    good : bool
        Whether the verdict is one to be content with.
    facts : tuple of (name, value)
        Totals, in the order to show.
    tables : tuple of TableView
    heats : tuple of HeatMap
    bars : tuple of Bars
    notes : tuple of str
        What deserves attention: what was assumed, left out, or not known.
    """

    title: str
    ts_ns: int
    verdict: str
    good: bool
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[TableView, ...] = ()
    heats: tuple[HeatMap, ...] = ()
    bars: tuple[Bars, ...] = ()
    notes: tuple[str, ...] = field(default=())
