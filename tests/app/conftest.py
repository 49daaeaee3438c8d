"""A small simulated recording on disk, and the command line as a function."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ivhedge.app.cli import main
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.market.simulator import BTC, SimulationConfig, simulate_market

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BOOK = EXAMPLES / "books" / "simulated_ladder.toml"
POLICIES = EXAMPLES / "policies" / "four_policies.toml"
RUN = EXAMPLES / "backtests" / "recorded.toml"


@dataclass(frozen=True)
class Ran:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one strict JSON value that standard output holds."""

        def refuse(name):
            raise ValueError(f"{name} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


def ivhedge(*arguments: object) -> Ran:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return Ran(int(stop.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def cli() -> Callable[..., Ran]:
    return ivhedge


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """Five six-hourly snapshots of one coin on five venues, in the project's own schema."""
    config = SimulationConfig(n_snapshots=5, step_ns=6 * NS_PER_HOUR, assets=(BTC,))
    market = simulate_market(config, np.random.default_rng(11))
    folder = tmp_path_factory.mktemp("recording")
    market.chains.write_parquet(folder / "chains.parquet")
    market.futures.write_parquet(folder / "futures.parquet")
    return folder


@pytest.fixture(scope="session")
def backtest(cli, recording, tmp_path_factory):
    """The examples replayed on the recording: what the command said, and where the result is."""
    out = tmp_path_factory.mktemp("backtest") / "out"
    ran = cli("backtest", "-c", recording, "-b", BOOK, "-p", POLICIES, "--config", RUN, "-o", out, "--json")
    assert ran.code == 0, ran.err
    return ran, out


@pytest.fixture(autouse=True)
def _no_width_asked_for(monkeypatch):
    """What runs the tests may set a width; output is judged at the one of pipes."""
    monkeypatch.delenv("COLUMNS", raising=False)
