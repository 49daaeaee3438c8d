"""`ivhedge doctor`: tell whether this installation is fit for work."""

import typer

from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.app.cli.sources import AsJson

__all__ = ["doctor"]


def doctor(as_json: AsJson = False) -> None:
    """Check the installation: versions, kernels, fee profiles, recorded data."""
    from ivhedge.app.checkup import run_checks

    checks = run_checks()
    if as_json:
        emit_json({"ok": all(c.ok for c in checks), "checks": [c.to_dict() for c in checks]})
    else:
        screen = console()
        for check in checks:
            mark = "ok  " if check.ok else "FAIL"
            say(screen, f"{mark} {check.name}: {check.detail}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
