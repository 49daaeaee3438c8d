"""The command line.

`--help` and errors stay light: what is heavy is imported by the command that needs it.
"""

import os
import sys
from typing import Annotated

import typer

from ivhedge import __version__
from ivhedge.app.cli import (
    backtest,
    book,
    demo,
    doctor,
    fit,
    forecast,
    mispricing,
    store,
    stream,
    sweep,
    venues,
)
from ivhedge.app.cli.output import report_error
from ivhedge.core.errors import IvHedgeError

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    name="ivhedge",
    help="Implied-volatility hedging for crypto options: surface, risk, hedge plan, honest replay.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("fit")(fit.fit)
app.command("risk")(book.risk)
app.command("stress")(book.stress)
app.command("margin")(book.margin)
app.command("explain")(book.explain)
app.command("forecast")(forecast.forecast)
app.command("venues")(venues.venues)
app.command("mispricings")(mispricing.mispricings)
app.command("plan")(book.plan)
app.command("backtest")(backtest.backtest)
app.command("report")(backtest.report)
app.command("sweep")(sweep.sweep)
app.command("stream")(stream.stream)
app.command("tape")(stream.tape)
app.add_typer(store.app, name="store")
app.command("doctor")(doctor.doctor)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Implied-volatility hedging for crypto options: surface, risk, hedge plan, honest replay."""


def _tell_interrupted() -> None:
    typer.echo("interrupted; what was already written is intact", err=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its documented code (see docs/conventions.md)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments, standalone_mode=True, prog_name="ivhedge")
    except IvHedgeError as exc:
        report_error(exc, as_json="--json" in arguments)
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        _tell_interrupted()
        sys.exit(_INTERRUPTED)
    except SystemExit as exc:
        # Typer turns an interrupt into a silent exit.
        if exc.code == _INTERRUPTED:
            _tell_interrupted()
        raise
    except BrokenPipeError:
        # The reader of our output has gone (`ivhedge ... | head`); there is nobody left to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        sys.exit(0)
