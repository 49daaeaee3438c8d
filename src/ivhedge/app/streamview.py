"""What `ivhedge stream` shows: a live view, plain lines, a summary."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_SECOND, format_ns
from ivhedge.engine.streaming import ExpiryState, StreamFrame, VenueState
from ivhedge.surface.stream import TrustState

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

__all__ = ["StreamView", "Tally", "frame_line", "summary_lines", "tables"]

_STATUS_STYLE = {"waiting": "yellow", "certified": "green", "held": "bold red"}
_TRUST_STYLE = {TrustState.GOOD: "green", TrustState.DOUBTFUL: "yellow", TrustState.BLIND: "bold red"}
_LAG_NOTED_S = 0.5


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    frames: int = 0
    certified: int = 0
    held: int = 0
    waiting: int = 0
    failed_checks: int = 0
    first_ns: int | None = None

    def take(self, frame: StreamFrame) -> None:
        """Count a publication."""
        self.frames += 1
        setattr(self, frame.status, getattr(self, frame.status) + 1)
        self.failed_checks += frame.arbitrage_free is False
        if self.first_ns is None:
            self.first_ns = frame.ts_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamView:
    """A publication drawn for a terminal.

    Parameters
    ----------
    frame : StreamFrame
    underlying : str
    speed : float
        0 for as fast as it goes.
    done : float
        Share of the tape's messages received.
    """

    frame: StreamFrame
    underlying: str
    speed: float
    done: float

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Header, expiries, venues, footer."""
        yield _header(self)
        yield from tables(self.frame)
        yield _footer(self.frame)


def _header(view: StreamView) -> "Text":
    from rich.text import Text

    frame = view.frame
    speed = "as fast as it goes" if view.speed == 0.0 else f"{view.speed:g} x"
    line = Text(f"{view.underlying}  {format_ns(frame.ts_ns)} UTC  ", style="bold")
    line.append(_state(frame), style=_STATUS_STYLE[frame.status])
    line.append(f"  {speed}, {view.done:.0%} of the tape", style="not bold")
    return line


def _state(frame: StreamFrame) -> str:
    words = {
        "waiting": "WAITING for quotes enough",
        "certified": "free of arbitrage",
        "held": "HELD: an earlier surface stands",
    }[frame.status]
    if frame.arbitrage_free is not None:
        words += ", dense check passed" if frame.arbitrage_free else ", DENSE CHECK FAILED"
    return words


def _footer(frame: StreamFrame) -> "Text":
    from rich.text import Text

    parts = [f"{frame.messages:,} messages", f"fits {frame.fits}"]
    if frame.pace.messages_per_s == frame.pace.messages_per_s:
        parts.append(f"{frame.pace.messages_per_s:,.0f} messages/s handled")
    if frame.pace.behind_s == frame.pace.behind_s:
        parts.append(f"{max(frame.pace.behind_s, 0.0) * 1e3:.0f} ms behind")
    if frame.failed_fits:
        parts.append(f"{frame.failed_fits} fits failed")
    if frame.clock_back:
        parts.append(f"own clock ran back {frame.clock_back} times")
    if frame.waiting_expiries:
        days = ", ".join(format_ns(expiry)[:10] for expiry in frame.waiting_expiries[:4])
        more = "" if len(frame.waiting_expiries) <= 4 else f" and {len(frame.waiting_expiries) - 4} more"
        parts.append(f"without a surface yet: {days}{more}")
    text = Text("  ".join(parts), style="dim")
    if frame.note:
        text.append(f"\nlast fit failed: {frame.note}", style="yellow")
    return text


def tables(frame: StreamFrame) -> "Iterable[Table]":
    """Tables of the expiries and of the venues."""
    if frame.expiries:
        yield _expiry_table(frame.expiries)
    yield _venue_table(frame)


def _expiry_table(expiries: Iterable[ExpiryState]) -> "Table":
    from rich.table import Table

    table = Table(title="surface", title_justify="left", pad_edge=False)
    for name in ("expiry", "days", "forward", "ATM vol %", "± %", "25d skew %", "quotes", "age s", "trust"):
        # Room for every state from the beginning: a live table must not jump.
        width = max(len(state) for state in TrustState) if name == "trust" else None
        left = name in ("expiry", "trust")
        table.add_column(name, justify="left" if left else "right", no_wrap=True, min_width=width)
    for e in expiries:
        table.add_row(
            format_ns(e.expiry_ns)[:10],
            f"{e.tau * DAYS_PER_YEAR:.2f}",
            f"{e.forward:,.0f}",
            f"{e.atm_vol * 100:.2f}",
            f"{e.atm_error * 100:.2f}",
            "-" if e.skew is None else f"{e.skew * 100:+.2f}",
            f"{e.quotes}",
            _age(e.age_s),
            _trust(e),
            style="dim" if e.stale else None,
        )
    return table


def _trust(e: ExpiryState) -> "Text":
    from rich.text import Text

    if e.stale and e.trust is TrustState.GOOD:
        return Text("stale", style="yellow")
    return Text(e.trust.value, style=_TRUST_STYLE[e.trust])


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f}" if seconds < 1000.0 else f"{seconds:,.0f}"


def _venue_table(frame: StreamFrame) -> "Table":
    from rich.table import Table

    table = Table(title="venues", title_justify="left", pad_edge=False)
    for name in ("venue", "messages", "used", "for fits", "aside", "refused", "missing", "per s", "lag s"):
        table.add_column(name, justify="left" if name == "venue" else "right", no_wrap=True)
    biased = any(v.health is not None for v in frame.venues)
    if biased:
        table.add_column("bias bp", justify="right", no_wrap=True)
    table.add_column("remarks", overflow="fold")
    for v in frame.venues:
        refused = sum(v.refused.values())
        table.add_row(
            v.name,
            f"{v.messages:,}",
            f"{v.used:,}",
            f"{v.kept:,}",
            f"{sum(v.aside.values()):,}",
            f"{refused:,}",
            f"{v.sequence.missing:,}" if v.sequence.numbered else "-",
            f"{v.rate:,.0f}" if v.rate >= 10.0 else f"{v.rate:.1f}",
            "-" if v.lag_s is None else f"{v.lag_s:+.2f}",
            *([_bias(v)] if biased else []),
            "; ".join(_remarks(v, frame.ts_ns)),
            style="yellow" if 2 * refused > v.messages else None,
        )
    return table


def _bias(venue: VenueState) -> str:
    """Level bias with its 95 % interval's half-width."""
    health = venue.health
    if health is None or health.level_bias is None:
        return "-"
    if health.level_interval is None:
        return f"{1e4 * health.level_bias:+.0f}"
    low, high = health.level_interval
    return f"{1e4 * health.level_bias:+.0f} ± {5e3 * (high - low):.0f}"


def _remarks(venue: VenueState, ts_ns: int) -> Iterable[str]:
    for reason, count in sorted(venue.refused.items(), key=lambda item: (-item[1], item[0])):
        yield f"{count:,} {reason.replace('_', ' ')}"
    if venue.lag_s is not None and venue.lag_s < -_LAG_NOTED_S:
        yield f"its clock is {-venue.lag_s:.1f} s ahead"
    elif venue.lag_s is not None and venue.lag_s > 4.0 * _LAG_NOTED_S:
        yield f"{venue.lag_s:.1f} s late, or its clock behind"
    seq = venue.sequence
    for count, what in ((seq.repeated, "repeated"), (seq.filled, "came late"), (seq.restarts, "restarts")):
        if count:
            yield f"{count:,} {what}"
    if venue.health is not None:
        if venue.health.state != "live":
            yield f"{venue.health.state} beside the others"
        for other, share in venue.health.copies.items():
            yield f"copies {other} ({share:.2f})"
    silent = (ts_ns - venue.newest_ns) / NS_PER_SECOND
    if venue.newest_ns and silent > 10.0:
        yield f"silent for {silent:,.0f} s"


def frame_line(frame: StreamFrame) -> str:
    """One line for a pipe."""
    parts = [format_ns(frame.ts_ns), f"{frame.status:9}"]
    shown = [e for e in frame.expiries if not e.stale]
    good = sum(e.trust is TrustState.GOOD for e in frame.expiries)
    parts.append(f"{len(frame.expiries):2} expiries, {good:2} good")
    if frame.expiries:
        e = max(shown or frame.expiries, key=lambda one: one.quotes)
        parts.append(f"ATM {format_ns(e.expiry_ns)[:10]} {e.atm_vol * 100:6.2f} ± {e.atm_error * 100:.2f} %")
    used, kept = sum(v.used for v in frame.venues), sum(v.kept for v in frame.venues)
    refused = sum(sum(v.refused.values()) for v in frame.venues)
    parts.append(f"{frame.messages:,} messages: {used:,} used, {kept:,} for fits, {refused:,} refused")
    if frame.arbitrage_free is False:
        parts.append("DENSE CHECK FAILED")
    return "  ".join(parts)


def summary_lines(tally: Tally, last: StreamFrame, wall_s: float) -> list[str]:
    """What a run came to, in words."""
    speed = f", {last.messages / wall_s:,.0f} messages/s" if wall_s > 0.0 else ""
    lines = [
        f"{format_ns(tally.first_ns or last.ts_ns)} to {format_ns(last.ts_ns)} UTC: "
        f"{last.messages:,} messages, {tally.frames:,} publications in {wall_s:.1f} s{speed}",
        f"publications: {tally.certified:,} free of arbitrage, {tally.held:,} held, {tally.waiting:,} before "
        f"there was a surface; {last.fits} fits, {last.failed_fits} failed",
    ]
    if tally.failed_checks:
        lines.append(f"{tally.failed_checks:,} publications FAILED the dense check: report this")
    if last.note:
        lines.append(f"last fit failed: {last.note}")
    return lines
