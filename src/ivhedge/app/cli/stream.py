"""`ivhedge stream`: play a tape through the live surface. `ivhedge tape`: make a tape, or show its label."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from ivhedge.app.cli.output import console, emit_json, plain, say
from ivhedge.app.cli.sources import Underlying, require_path
from ivhedge.core.errors import ArbitrageError, ConfigError
from ivhedge.core.units import format_ns, parse_time

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from ivhedge.engine.streaming import StreamFrame
    from ivhedge.market.tape import Tape

__all__ = ["stream", "tape"]

_INTERRUPTED = 130
_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_LIVE_SPEED = 60.0


def stream(
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Tape to play; make one with `ivhedge tape`.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            help="Seconds of tape per second; 0: as fast as it goes. Default: 60 in a terminal, else 0.",
        ),
    ] = None,
    every: Annotated[
        str, typer.Option("--every", help="Time between publications, for instance 500ms, 1s, 5min, 1h.")
    ] = "1s",
    start: Annotated[str | None, typer.Option("--from", help="First time (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End, exclusive (ISO 8601, UTC).")] = None,
    certify: Annotated[
        bool, typer.Option("--certify", help="Check each publication on a dense grid too (slower).")
    ] = False,
    fuse: Annotated[
        float | None,
        typer.Option(
            "--fuse",
            help="Seconds between estimates of venues' biases; 0: none. Default: 10 or --every.",
        ),
    ] = None,
    anchor: Annotated[
        str | None, typer.Option("--anchor", help="Venue whose bias is zero; default: the consensus.")
    ] = None,
    json_out: Annotated[
        str | None,
        typer.Option("--json", help="Write one JSON value a publication to this file; - is standard output."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write surfaces, venue counts and summary to this folder.")
    ] = None,
) -> None:
    """Play a recorded tape through the live surface: in a terminal a view, in a pipe a line a publication."""
    from ivhedge.app.streamsave import FrameTables, frame_to_dict
    from ivhedge.app.streamview import Tally, summary_lines, tables
    from ivhedge.engine.streaming import MachineClock, PlaySettings
    from ivhedge.engine.streaming import replay as play_tape
    from ivhedge.market.tape import read_tape

    if replay is None:
        raise ConfigError(
            "expected --replay TAPE, found none; make a tape with `ivhedge tape SOURCE --out FILE`"
        )
    span = [None if text is None else parse_time(text) for text in (start, until)]
    played = read_tape(replay)
    if anchor is not None and anchor not in played.venues:
        raise ConfigError(f"expected --anchor to be one of {', '.join(played.venues)}, found {anchor!r}")
    settings = PlaySettings(
        every_s=_seconds(every), dense_check=certify, anchor=anchor,
        # One venue has no bias to speak of.
        fuse_every_s=_fuse_every(fuse, _seconds(every)) if len(played.venues) > 1 else 0.0,
    )  # fmt: skip
    screen = console(as_json=json_out == "-")
    live = screen.is_terminal
    speed = (_LIVE_SPEED if live else 0.0) if speed is None else speed
    frames = play_tape(
        played, clock=MachineClock(), speed=speed, start_ns=span[0], until_ns=span[1], settings=settings
    )
    tally, last, stopped, began = Tally(), None, False, time.monotonic()
    with ExitStack() as stack:
        out = _json_target(json_out, stack)
        kept = None if save is None else FrameTables(save)
        show = _shown(stack, live, played, speed, screen)
        try:
            for last in frames:
                tally.take(last)
                if out is not None:
                    out.write(json.dumps(plain(frame_to_dict(last)), ensure_ascii=False) + "\n")
                    out.flush()
                if kept is not None:
                    kept.take(last)
                show(last)
        except KeyboardInterrupt:
            stopped = True
    if last is not None:
        if not live:
            for part in tables(last):
                screen.print(part)
        for line in summary_lines(tally, last, time.monotonic() - began):
            say(screen, line)
        if kept is not None and save is not None:
            kept.write(last, tally)
            say(screen, f"wrote {save}")
        if json_out not in (None, "-"):
            say(screen, f"wrote {json_out}")
    if stopped:
        raise typer.Exit(_INTERRUPTED)
    if tally.failed_checks:
        raise ArbitrageError(
            f"expected publications free of arbitrage on the dense grid, found {tally.failed_checks} that "
            "are not; do not hedge on them, and report the tape"
        )


def _fuse_every(asked: float | None, every_s: float) -> float:
    return max(10.0, every_s) if asked is None else asked


def _seconds(text: str) -> float:
    for unit in sorted(_UNITS, key=len, reverse=True):
        number = text.removesuffix(unit)
        if number != text:
            try:
                return float(number) * _UNITS[unit]
            except ValueError:
                break
    raise ConfigError(f"--every: expected a time such as 500ms, 1s, 5min or 1h, found {text!r}")


def _json_target(target: str | None, stack: ExitStack) -> IO[str] | None:
    if target is None:
        return None
    if target == "-":
        return sys.stdout
    try:
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(
            f"--json: expected a file to write, found: {target}: {exc.strerror or exc}; choose another path"
        ) from exc


def _shown(
    stack: ExitStack, live: bool, played: "Tape", speed: float, screen: "Console"
) -> "Callable[[StreamFrame], None]":
    """What is done with each publication on the screen."""
    from rich.live import Live

    from ivhedge.app.streamview import StreamView, frame_line

    if not live:
        return lambda frame: say(screen, frame_line(frame))
    # The view is drawn when the screen is refreshed, not at each publication.
    drawn = stack.enter_context(Live(console=screen, refresh_per_second=8, vertical_overflow="crop"))

    def show(frame: "StreamFrame") -> None:
        done = frame.messages / len(played)
        drawn.update(StreamView(frame=frame, underlying=played.underlying, speed=speed, done=done))

    return show


def tape(
    sources: Annotated[
        list[Path], typer.Argument(help="Recorded chains, files or folders; without --out: tapes to look at.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Tape to write.")] = None,
    underlying: Underlying = None,
    start: Annotated[str | None, typer.Option("--from", help="First time (ISO 8601, UTC).")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End (ISO 8601, UTC).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value on standard output.")] = False,
) -> None:
    """Make a tape of recorded chains; without --out, show what tapes hold."""
    from ivhedge.market.tape import tape_from_chains, write_tape

    paths = list(sources) if out is None else [out]
    if out is not None:
        for source in sources:
            require_path(source)
        chains = _chains(sources, underlying, start, end)
        write_tape(tape_from_chains(chains), out)
    _show_labels(paths, as_json=as_json)


def _chains(
    sources: list[Path], underlying: str | None, start: str | None, end: str | None
) -> "pl.DataFrame":
    import polars as pl

    from ivhedge.market import read_chains

    chains = pl.concat(
        read_chains(source, underlying=underlying, start=start, end=end, sample=None) for source in sources
    )
    coins = sorted(chains["underlying"].unique().to_list())
    if len(coins) > 1:
        raise ConfigError(f"expected one underlying, found {coins}; choose with --underlying")
    return chains


def _show_labels(paths: list[Path], *, as_json: bool) -> None:
    from rich.table import Table

    labels = [dict(_label(path)) for path in paths]
    if as_json:
        emit_json({"tapes": labels})
        return
    for label in labels:
        table = Table(title=str(label.pop("path")), title_justify="left", show_header=False, pad_edge=False)
        for name, value in label.items():
            table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
        console().print(table)


def _label(path: Path) -> Iterator[tuple[str, object]]:
    from ivhedge.market.tape import tape_info

    info = tape_info(path)
    size = path.stat().st_size
    yield "path", str(path)
    yield "underlying", info.underlying
    yield "messages", info.rows
    yield "first", format_ns(info.first_ns)
    yield "last", format_ns(info.last_ns)
    yield "venues", ", ".join(info.venues)
    yield "instruments", info.instruments.height
    yield "bytes", size
    yield "bytes_per_message", round(size / max(info.rows, 1), 1)
