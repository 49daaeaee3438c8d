"""What a smile panel shows, worked out once for the page, the figure and the terminal.

A quote whose bid lies above the model is *rich* (sell), one whose ask lies below it *cheap* (buy); one that
the fit did not believe is *rejected*, wherever it lies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.report import format as fmt

__all__ = ["STATES", "SmilePanel", "expiry_label", "smile_panels"]

STATES = ("inside", "rich", "cheap", "rejected")

_EDGE = 1e-9
"""Vol within which a model on bid or ask counts as inside, as in the fit report."""
_LEAST_ROOM = 0.01 * VOL_POINT
"""Half-spread of a quote whose bid and ask coincide."""
_AIR = 0.08
_FARTHER = 0.25
"""How far beyond the two-sided quotes strikes are shown, as a share of their range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmilePanel:
    """The smile of one underlying and expiry.

    Parameters
    ----------
    title : str
    quotes : pl.DataFrame
        Rows with a bid or an ask, by strike: ``strike, bid_iv, ask_iv, mid_iv, model_iv, venue``, and worked
        out ``state`` (of `STATES`), ``residual`` (mid less model, decimal) and ``score``: the residual in
        half-spreads of the side it points to, so that ±1 is on the bid or on the ask; null unless two-sided.
    line : pl.DataFrame
        ``strike, model_iv, backbone_iv``, by strike; the backbone is null where it is the model.
    """

    title: str
    quotes: pl.DataFrame
    line: pl.DataFrame

    @property
    def two_sided(self) -> pl.DataFrame:
        """Quotes with bid and ask."""
        return self.quotes.drop_nulls(["bid_iv", "ask_iv"])

    @property
    def strikes(self) -> tuple[float, float] | None:
        """Lowest and highest strike to show: two-sided quotes and, not too far out, the others."""
        every = _ends(pl.concat([self.quotes["strike"], self.line["strike"]]))
        sided = _ends(self.two_sided["strike"])
        if every is None or sided is None or sided[0] == sided[1]:
            return every
        more = _FARTHER * (sided[1] - sided[0])
        return max(every[0], sided[0] - more), min(every[1], sided[1] + more)

    @property
    def hidden(self) -> int:
        """Number of one-sided quotes at strikes too far out to show."""
        if self.strikes is None:
            return 0
        low, high = self.strikes
        return self.quotes.filter((pl.col("strike") < low) | (pl.col("strike") > high)).height

    @property
    def vols(self) -> tuple[float, float] | None:
        """Range of vols to show: the model, and the mids and nearer sides of believed two-sided quotes.

        Neither a lone far ask nor a very wide quote nor a rejected one may squash the smile.
        """
        believed = self.two_sided.filter(pl.col("state") != "rejected")
        seen = self.line.filter(pl.col("strike").is_between(*(self.strikes or (0.0, 0.0))))
        ends = _ends(pl.concat([seen["model_iv"], believed["mid_iv"].drop_nulls()]))
        if ends is None:
            ends = _ends(pl.concat([self.quotes["bid_iv"], self.quotes["ask_iv"]]).drop_nulls())
        if ends is None:
            return None
        room = _AIR * (ends[1] - ends[0]) or 0.02
        widest = _ends(pl.concat([believed["bid_iv"], believed["ask_iv"]])) or ends
        # A bar sticks out of the range by no more than a quarter of what the smile itself takes.
        reach = 3.0 * room
        low = max(min(ends[0] - room, widest[0]), ends[0] - room - reach, 0.0)
        return low, min(max(ends[1] + room, widest[1]), ends[1] + room + reach)

    @property
    def inside(self) -> float | None:
        """Share of the two-sided quotes, rejected ones included, whose bid and ask hold the model."""
        sided, model = self.two_sided, pl.col("model_iv")
        if sided.is_empty():
            return None
        held = (model >= pl.col("bid_iv") - _EDGE) & (model <= pl.col("ask_iv") + _EDGE)
        return sided.filter(held).height / sided.height

    @property
    def note(self) -> str:
        """Error and share inside in words."""
        sided = self.two_sided
        if self.quotes.is_empty():
            return "no quotes"
        bounds = self.quotes.height - sided.height
        one_sided = f"{bounds} one-sided" + (f", {self.hidden} farther out" if self.hidden else "")
        if sided.is_empty():
            return one_sided
        error = sided["residual"].drop_nulls().abs().median()
        shown = fmt.vol_points(error if isinstance(error, float) else None)
        quotes = f"{sided.height} quote{'' if sided.height == 1 else 's'}"
        more = f" + {one_sided}" if bounds else ""
        return f"median error {shown} pts · {fmt.percent(self.inside, 0)} inside · {quotes}{more}"


def smile_panels(smiles: pl.DataFrame) -> Iterator[SmilePanel]:
    """Yield one panel per underlying and expiry, nearest expiry first.

    Parameters
    ----------
    smiles : pl.DataFrame
        In `SMILES_SCHEMA`; ``rejected`` and ``backbone_iv`` are used where they are there.
    """
    for _, rows in smiles.sort("underlying", "expiry").group_by("underlying", "expiry", maintain_order=True):
        yield smile_panel(rows)


def smile_panel(rows: pl.DataFrame) -> SmilePanel:
    """Work out the panel of one underlying and expiry."""
    absent = [
        pl.lit(value, dtype=kind).alias(name)
        for name, value, kind in (("rejected", False, pl.Boolean()), ("backbone_iv", None, pl.Float64()))
        if name not in rows.columns
    ]
    rows = rows.with_columns(absent).sort("strike")
    known = rows.with_columns(pl.col("model_iv", "backbone_iv").fill_nan(None)).drop_nulls("model_iv")
    line = known.group_by("strike").agg(pl.col("model_iv", "backbone_iv").mean()).sort("strike")
    quoted = rows.filter(pl.col("bid_iv").is_not_null() | pl.col("ask_iv").is_not_null())
    return SmilePanel(title=_title(rows), quotes=_judged(quoted), line=line)


def expiry_label(tenor_days: float) -> str:
    """Name a tenor: days, with hours' accuracy for the near ones."""
    return f"{fmt.number(tenor_days, 1 if tenor_days < 10 else 0)} d"


def _judged(quoted: pl.DataFrame) -> pl.DataFrame:
    model, bid, ask = pl.col("model_iv"), pl.col("bid_iv"), pl.col("ask_iv")
    # A missing side bounds nothing; the model can only be outside a side that exists.
    above_ask = (model > ask + _EDGE).fill_null(False)
    below_bid = (model < bid - _EDGE).fill_null(False)
    state = (
        pl.when(pl.col("rejected").fill_null(False))
        .then(pl.lit("rejected"))
        .when(below_bid)
        .then(pl.lit("rich"))
        .when(above_ask)
        .then(pl.lit("cheap"))
        .otherwise(pl.lit("inside"))
    )
    gap = pl.col("mid_iv") - model
    room = pl.when(gap < 0.0).then(ask - pl.col("mid_iv")).otherwise(pl.col("mid_iv") - bid)
    score = gap / pl.max_horizontal(room, pl.lit(_LEAST_ROOM))
    sided = bid.is_not_null() & ask.is_not_null()
    return quoted.with_columns(
        gap.alias("residual"), pl.when(sided).then(score).alias("score"), state.alias("state")
    )


def _ends(values: pl.Series) -> tuple[float, float] | None:
    shown = values.drop_nulls().drop_nans()
    low, high = shown.min(), shown.max()
    return (low, high) if isinstance(low, float) and isinstance(high, float) else None


def _title(rows: pl.DataFrame) -> str:
    if rows.is_empty():
        return ""
    first = rows.row(0, named=True)
    days = float(first["tau"]) * DAYS_PER_YEAR
    return f"{first['underlying']} {first['expiry']:%d %b %Y} · {expiry_label(days)}"
