"""Smiles and their residuals in matplotlib axes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from ivhedge.report.panels import STATES, SmilePanel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.lines import Line2D

__all__ = ["COLUMNS", "INKS", "ROW_HEIGHT", "draw_smiles"]

INKS: Final = {
    "inside": "#6b7786",
    "rich": "#c62f2f",
    "cheap": "#0b8a5c",
    "rejected": "#7b3fc4",
    "model": "#d08a00",
    "backbone": "#0f86a3",
    "forward": "#1b6fc9",
    "grid": "#e4e8ec",
    "text": "#17202a",
    "muted": "#5b6875",
}
COLUMNS: Final = 4
"""Smiles in a row."""
ROW_HEIGHT: Final = 3.3
"""Inches of a row of smiles."""
_FARTHEST = 4.0


def draw_smiles(part: "SubFigure", panels: Sequence[SmilePanel]) -> None:
    """Draw two axes per panel, `COLUMNS` in a row: the smile, with gid ``smile``, over its ``residuals``."""
    rows = -(-len(panels) // COLUMNS)
    inch = 1.0 / (ROW_HEIGHT * rows)
    outer = part.add_gridspec(
        rows,
        COLUMNS,
        left=0.03,
        right=0.985,
        bottom=0.3 * inch,
        top=1.0 - 0.65 * inch,
        wspace=0.16,
        hspace=0.34,
    )
    for place, panel in enumerate(panels):
        inner = outer[place // COLUMNS, place % COLUMNS].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.08)
        smile = part.add_subplot(inner[0])
        below = part.add_subplot(inner[1], sharex=smile)
        _smile(smile, panel)
        _residuals(below, panel)
    part.legend(
        handles=_legend(panels), loc="upper left", bbox_to_anchor=(0.025, 1.0), ncols=9, borderaxespad=0.2
    )


def _smile(ax: "Axes", panel: SmilePanel) -> None:
    ax.set_title(panel.title, parse_math=False, pad=13)
    ax.text(
        0.0, 1.02, panel.note, transform=ax.transAxes, fontsize=6.5, color=INKS["muted"], parse_math=False
    )
    ax.set_gid("smile")
    low, high = panel.vols or (0.0, 1.0)
    for state in STATES:
        rows = panel.quotes.filter(pl.col("state") == state)
        sided = rows.drop_nulls(["bid_iv", "ask_iv"])
        if not sided.is_empty():
            bids, asks = (100.0 * sided[name].to_numpy() for name in ("bid_iv", "ask_iv"))
            bars = ax.vlines(sided["strike"].to_numpy(), bids, asks, colors=INKS[state], linewidth=1.1)
            bars.set_gid(f"bars:{state}")
        # The arrow points from the side that is there to where the other may be.
        for side, other, marker in (("bid_iv", "ask_iv", 6), ("ask_iv", "bid_iv", 7)):
            open_ = rows.filter(pl.col(side).is_not_null() & pl.col(other).is_null())
            if not open_.is_empty():
                _dots(ax, open_["strike"], open_[side], INKS[state], marker, 3.5, f"arrows:{state}")
    edge = 0.05 * (high - low)
    crossed = panel.quotes.filter(pl.col("state") == "rejected").with_columns(
        pl.coalesce("mid_iv", "bid_iv", "ask_iv").clip(low + edge, high - edge).alias("at")
    )
    if not crossed.is_empty():
        _dots(ax, crossed["strike"], crossed["at"], INKS["rejected"], "x", 6, "rejected", clip_on=False)
    beneath = panel.line.drop_nulls("backbone_iv")
    for rows, column, width, style in (
        (beneath, "backbone_iv", 0.9, "--"),
        (panel.line, "model_iv", 1.4, "-"),
    ):
        if not rows.is_empty():
            name = column.removesuffix("_iv")
            values = 100.0 * rows[column].to_numpy()
            ax.plot(rows["strike"].to_numpy(), values, style, color=INKS[name], linewidth=width, gid=name)
    ax.set_ylim(100.0 * low, 100.0 * high)
    ax.yaxis.set_major_formatter("{x:.4g}%")
    ax.tick_params(axis="x", labelbottom=False)


def _residuals(ax: "Axes", panel: SmilePanel) -> None:
    ax.set_gid("residuals")
    scores = panel.quotes.drop_nulls("score")
    largest = scores["score"].abs().max()
    reach = min(max(float(largest) if isinstance(largest, float) else 1.0, 1.0), _FARTHEST)
    for state in STATES:
        rows = scores.filter(pl.col("state") == state)
        if not rows.is_empty():
            strikes, values = rows["strike"].to_numpy(), rows["score"].clip(-reach, reach).to_numpy()
            bars = ax.vlines(strikes, 0.0, values, colors=INKS[state], linewidth=2.0)
            bars.set_gid(f"bars:{state}")
    for limit in (-1.0, 1.0):
        ax.axhline(limit, color="#b4bdc7", linewidth=0.7, linestyle=":")
    ax.axhline(0.0, color="#b4bdc7", linewidth=0.7)
    ax.set_ylim(-1.15 * reach, 1.15 * reach)
    tick = float(math.floor(reach))
    ax.set_yticks([-tick, 0.0, tick])
    if panel.strikes is not None:
        low, high = panel.strikes
        room = 0.02 * (high - low) or 0.02 * high
        ax.set_xlim(low - room, high + room)
    ax.xaxis.set_major_formatter(lambda strike, _: f"{strike / 1000:g}k" if strike >= 1e4 else f"{strike:g}")
    ax.locator_params(axis="x", nbins=6)


def _dots(
    ax: "Axes",
    strikes: pl.Series,
    vols: pl.Series,
    ink: str,
    marker: str | int,
    size: float,
    gid: str,
    *,
    clip_on: bool = True,
) -> None:
    ax.plot(
        strikes.to_numpy(),
        100.0 * vols.to_numpy(),
        linestyle="none",
        marker=marker,
        markersize=size,
        color=ink,
        gid=gid,
        clip_on=clip_on,
    )


def _legend(panels: Sequence[SmilePanel]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    states = {state for panel in panels for state in panel.quotes["state"].unique()}
    names = {
        "inside": "model inside bid/ask",
        "rich": "rich: bid above the model",
        "cheap": "cheap: ask below the model",
    }
    shown: list[Line2D] = [Line2D([], [], color=INKS["model"], linewidth=1.4, label="model")]
    if any(panel.line["backbone_iv"].is_not_null().any() for panel in panels):
        shown.append(Line2D([], [], color=INKS["backbone"], linewidth=0.9, linestyle="--", label="backbone"))
    for state, words in names.items():
        if state in states:
            shown.append(Line2D([], [], color=INKS[state], linestyle="none", marker="|", label=words))
    if "rejected" in states:
        shown.append(
            Line2D([], [], color=INKS["rejected"], linestyle="none", marker="x", label="rejected by the fit")
        )
    if any(panel.two_sided.height < panel.quotes.height for panel in panels):
        shown.append(
            Line2D(
                [],
                [],
                color=INKS["inside"],
                linestyle="none",
                marker=7,
                label="one-sided: arrow to the open side",
            )
        )
    shown.append(
        Line2D([], [], linestyle="none", label="below: mid − model in half-spreads, ±1 = bid or ask")
    )
    return shown
