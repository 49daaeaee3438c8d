from dataclasses import replace

import pytest

from ivhedge.app.showcase import showcase_book
from ivhedge.engine import PolicyKind, PolicySpec, ReplayConfig
from ivhedge.engine.sweep import (
    BootstrapSpec,
    SimulatedPeriod,
    SweepSpec,
    Variant,
    WalkForwardSpec,
    run_sweep,
)


def band(width):
    spec = PolicySpec(name=f"band {width}", kind=PolicyKind.DELTA, delta_band=width)
    return Variant(policy="band", parameters=(("delta_band", width),), spec=spec)


@pytest.fixture(scope="session")
def spec():
    """Two short simulated paths, one book, three variants."""
    return SweepSpec(
        name="small",
        variants=(
            Variant(policy="none", spec=PolicySpec(name="none", kind=PolicyKind.NONE)),
            band(0.01),
            band(0.05),
        ),
        books=(showcase_book(),),
        periods=tuple(
            SimulatedPeriod(name=f"seed {seed}", seed=seed, n_snapshots=5, underlyings=("BTC",))
            for seed in (3, 4)
        ),
        replay=ReplayConfig(name="small"),
        baseline="none",
        walk_forward=WalkForwardSpec(train=1),
        bootstrap=BootstrapSpec(block=2, resamples=100),
    )


@pytest.fixture(scope="session")
def short(spec):
    """One path of the same."""
    return replace(spec, periods=spec.periods[:1], walk_forward=None)


@pytest.fixture(scope="session")
def finished(spec, tmp_path_factory):
    """The sweep done in this process, and its folder."""
    folder = tmp_path_factory.mktemp("sweep")
    return run_sweep(spec, folder), folder


def contents(folder):
    """Bytes of every record by name."""
    return {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}
