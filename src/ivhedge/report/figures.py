"""One fit as one picture: term structure, skew, certificate, and a smile with its residuals per expiry.

Needs matplotlib, the extra ``plot``. Figures are built without pyplot and with matplotlib's own defaults, so
that neither the user's settings nor other figures of the process change a picture: the same view gives the
same bytes.
"""

import importlib.util
import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from ivhedge.core import atomic
from ivhedge.core.errors import ConfigError
from ivhedge.report import format as fmt
from ivhedge.report.figure_smiles import COLUMNS, INKS, ROW_HEIGHT, draw_smiles
from ivhedge.report.fitview import FitView
from ivhedge.report.panels import smile_panels
from ivhedge.report.steps import TICK_DAYS, forward_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["DPI", "fit_figure", "own_style", "require_matplotlib", "write_fit_png"]

DPI = 110
_WIDTH = 16.0
_HEAD = 3.9
_STYLE: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "text.color": INKS["text"],
    "axes.edgecolor": "#b4bdc7",
    "axes.labelcolor": INKS["muted"],
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INKS["grid"],
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": INKS["muted"],
    "ytick.color": INKS["muted"],
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
}


def require_matplotlib() -> None:
    """Refuse to go on where there is no matplotlib.

    Raises
    ------
    ConfigError
        If it is not installed; the message says how to install it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "expected matplotlib for a PNG, found none installed; run: pip install 'ivhedge[plot]', "
            "or ask for HTML instead"
        )


def write_fit_png(view: FitView, path: Path | str) -> Path:
    """Draw a fit into a PNG file, atomically.

    Raises
    ------
    ConfigError
        If matplotlib is not installed, or the file cannot be written; what was there before is untouched.
    """
    target = Path(path)
    content = io.BytesIO()
    # The software's name and version would change the bytes.
    figure = fit_figure(view)
    with own_style():
        figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    atomic.write_bytes(target, content.getvalue())
    return target


def fit_figure(view: FitView) -> "Figure":
    """Draw a fit.

    Parameters
    ----------
    view : FitView

    Returns
    -------
    matplotlib.figure.Figure
        Subfigures ``head`` (term structure, skew, certificate) and, if there is a smile, ``smiles``: two axes
        per expiry, the smile and beneath it its residuals.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [panel for panel in smile_panels(view.smiles) if panel.strikes is not None]
    rows = -(-len(panels) // COLUMNS)
    height = _HEAD + ROW_HEIGHT * rows
    with own_style():
        figure = Figure(figsize=(_WIDTH, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        if rows:
            split = figure.add_gridspec(2, 1, height_ratios=(_HEAD, ROW_HEIGHT * rows), hspace=0.0)
            head = figure.add_subfigure(split[0])
            draw_smiles(figure.add_subfigure(split[1]), panels)
        else:
            head = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
        _head(head, view)
        return figure


@contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib's defaults and ours for a while; drawing needs them as much as building does."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast("Any", _STYLE))
        yield


def _head(part: "SubFigure", view: FitView) -> None:
    inch = 1.0 / _HEAD
    part.text(
        0.03,
        1.0 - 0.28 * inch,
        f"{view.underlying} surface · {fmt.when(view.ts_ns, seconds=True)} UTC · {view.model} model",
        fontsize=14,
        fontweight="bold",
        va="center",
    )
    ink = INKS["cheap"] if view.certified else INKS["rich"]
    part.text(0.03, 1.0 - 0.6 * inch, view.verdict, fontsize=9.5, color=ink, va="center", parse_math=False)
    notes = textwrap.shorten(" · ".join(view.notes), 230, placeholder=" …")
    part.text(0.03, 1.0 - 0.83 * inch, notes, color=INKS["rich"], va="center", parse_math=False)
    axes = part.subplots(
        1,
        3,
        gridspec_kw={
            "left": 0.03,
            "right": 0.985,
            "bottom": 0.5 * inch,
            "top": 1.0 - 1.2 * inch,
            "wspace": 0.12,
        },
    )
    rows = view.term.sort("tenor_days")
    _term(axes[0], rows)
    _skew(axes[1], rows)
    _certificate(axes[2], view)


def _term(ax: "Axes", rows: pl.DataFrame) -> None:
    ax.set_title("Term structure, % a year")
    ax.set_gid("term")
    if rows.is_empty():
        return
    days = rows["tenor_days"].to_list()
    corners = forward_steps(rows)
    ax.plot(
        [at for at, _ in corners],
        [_percent(vol) for _, vol in corners],
        color=INKS["forward"],
        linewidth=1.0,
        label="forward vol, from the expiry before",
    )
    vols = [_percent(vol) for vol in rows["atm_vol"]]
    ax.plot(days, vols, color=INKS["model"], marker="o", markersize=4, label="at the money")
    ax.legend(loc="best")
    _log_days(ax, days)


def _skew(ax: "Axes", rows: pl.DataFrame) -> None:
    ax.set_title("25-delta risk reversal (call − put) and butterfly, vol points")
    ax.set_gid("skew")
    if rows.is_empty():
        return
    days = rows["tenor_days"].to_list()
    for name, column, ink in (
        ("risk reversal", "risk_reversal_25", "forward"),
        ("butterfly", "butterfly_25", "model"),
    ):
        values = [_percent(value) for value in rows[column]]
        ax.plot(days, values, color=INKS[ink], marker="o", markersize=4, label=name)
    ax.axhline(0.0, color="#b4bdc7", linewidth=0.8)
    ax.legend(loc="best")
    _log_days(ax, days)


def _log_days(ax: "Axes", days: list[float]) -> None:
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.set_xlim(0.8 * days[0], 1.25 * days[-1])
    ticks = [tick for tick in TICK_DAYS if 0.8 * days[0] <= tick <= 1.25 * days[-1]] or days[:1]
    ax.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("days, log scale")


def _certificate(ax: "Axes", view: FitView) -> None:
    ax.set_title("Certificate and fit")
    ax.set_gid("certificate")
    ax.set_axis_off()
    shown = ("quotes fitted", "rejected as outliers", "inside bid and ask", "rmse, weighted")
    rows = [*view.certificate, *(fact for fact in view.facts if fact[0] in shown)]
    lines = [(name, textwrap.wrap(value, 52)[:3] or [""]) for name, value in rows]
    step = 1.0 / max(sum(len(words) for _, words in lines), 1)
    y = 1.0
    for name, words in lines:
        ax.text(0.0, y, name, va="top", color=INKS["muted"], fontsize=7.5, parse_math=False)
        ink = INKS["rich"] if words[0].startswith("NOT") else INKS["text"]
        ax.text(0.37, y, "\n".join(words), va="top", color=ink, fontsize=7.5, parse_math=False)
        y -= step * len(words)


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100.0 * value
