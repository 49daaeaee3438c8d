"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The gate draws the same examples every time; `make prove` looks for new ones.
settings.register_profile("gate", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Root of the recorded data sets, or a skip that says how to get them."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default))
    if not (root / "deribit_chains").is_dir():
        pytest.skip(
            f"recorded data not found at {root}; point IVHEDGE_DATA at a folder that holds deribit_chains/"
        )
    return root
