"""Checks of an installation: what `ivhedge doctor` shows."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ivhedge import __version__

__all__ = ["Check", "run_checks"]

_PACKAGES = ("numpy", "scipy", "numba", "polars", "duckdb", "piqp", "pydantic", "typer", "rich")
_MIN_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was looked at, whether it is fine, what was found or what to do."""

    name: str
    ok: bool
    detail: str

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return asdict(self)


def run_checks() -> list[Check]:
    """Run every check; a check that raises has failed, and the others still run."""
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", _python),
        ("packages", _packages),
        ("pricing kernels", _kernels),
        ("surface and certificate", _surface),
        ("quadratic solver", _solver),
        ("fee profiles", _profiles),
        ("recorded data", _recorded),
    )
    return [_run(name, check) for name, check in checks]


def _run(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except Exception as exc:  # whatever breaks a check is its finding
        return Check(name, False, f"{type(exc).__name__}: {exc}")


def _python() -> str:
    if sys.version_info < _MIN_PYTHON:
        raise ValueError(f"expected Python >= 3.11, found {platform.python_version()}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"ivhedge {__version__} on Python {platform.python_version()}, {machine}"


def _packages() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError as exc:
            raise ImportError(f"{name} is not installed; install the package anew") from exc
    return ", ".join(found)


def _kernels() -> str:
    from ivhedge.pricing import black76_price, implied_vol
    from ivhedge.pricing.jit import jit_available

    price = black76_price(100.0, [80.0, 100.0, 150.0], 0.25, 0.6, True)
    vol = implied_vol(price, 100.0, [80.0, 100.0, 150.0], 0.25, True)
    worst = float(abs(vol / 0.6 - 1.0).max())
    if not worst < 1e-13:
        raise ValueError(f"expected implied vols to 1e-13, found an error of {worst:.1e}; install anew")
    backend = "numba" if jit_available() else "numpy (numba is absent or switched off)"
    return f"{backend}, round trip error {worst:.0e}"


def _surface() -> str:
    import numpy as np

    from ivhedge.market.simulator import SimulationConfig, simulate_market
    from ivhedge.surface import fit_surface

    market = simulate_market(SimulationConfig(n_snapshots=1), np.random.default_rng(1))
    fit = fit_surface(next(market.snapshots()).chain)
    fit.published()
    report = fit.report
    return f"{report.n_quotes} simulated quotes fitted, rmse {report.rmse_vol:.2%} vol, certificate valid"


def _solver() -> str:
    import numpy as np
    import piqp

    solver = piqp.DenseSolver()
    solver.setup(np.eye(2), np.array([-1.0, 1.0]), None, None, None, None, None, np.zeros(2), np.ones(2))
    status = solver.solve()
    if not np.allclose(solver.result.x, [1.0, 0.0], atol=1e-3):
        raise ValueError(f"expected (1, 0), found {solver.result.x} with status {status}")
    return f"piqp {version('piqp')} solves"


def _profiles() -> str:
    from ivhedge.ledger import available_venues, load_profile

    names = available_venues()
    dates = {load_profile(name).as_of for name in names}
    return f"{', '.join(names)} (as of {min(dates)} to {max(dates)})"


def _recorded() -> str:
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data"))
    if not (root / "deribit_chains").is_dir():
        return f"none at {root} (optional; set IVHEDGE_DATA to a folder with deribit_chains/)"
    files = len(list((root / "deribit_chains").rglob("*.parquet")))
    return f"{files} chain files under {root}"
