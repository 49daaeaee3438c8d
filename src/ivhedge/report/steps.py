"""Forward vols as the corners of a staircase over tenors."""

import polars as pl

__all__ = ["TICK_DAYS", "forward_steps"]

TICK_DAYS = (0.1, 0.3, 1.0, 3.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0, 730.0)
"""Tenors to label on a logarithmic axis, days."""

_FIRST = 0.8


def forward_steps(term: pl.DataFrame) -> list[tuple[float, float | None]]:
    """Corners ``(days, vol)`` of the forward vols; None breaks the line where there is no forward vol.

    Parameters
    ----------
    term : pl.DataFrame
        ``tenor_days, forward_vol``, by tenor, at least one row.
    """
    corners: list[tuple[float, float | None]] = []
    # The first step starts now, which a logarithmic axis does not have.
    before = _FIRST * float(term["tenor_days"][0])
    for days, vol in term.select("tenor_days", "forward_vol").iter_rows():
        corners += [(before, vol), (days, vol)]
        before = days
    return corners
