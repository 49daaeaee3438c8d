import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")


def load(name: str) -> ModuleType:
    path = ROOT / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_what_the_generator_writes():
    generator = load("generate_pricing_constants")
    for name, text in generator.sources().items():
        assert (generator.TARGET / name).read_text(encoding="utf-8") == text, "run the generator again"


def test_guesses_are_what_the_fit_finds():
    # Fitted in double precision: another linear algebra library may differ in the last digits.
    fitted = load("fit_implied_vol_guesses")
    found, kept = fitted.source(), fitted.TARGET.read_text(encoding="utf-8")
    assert NUMBER.sub("#", found) == NUMBER.sub("#", kept), "run tools/fit_implied_vol_guesses.py again"
    again, now = (np.array(NUMBER.findall(text), dtype=float) for text in (found, kept))
    np.testing.assert_allclose(now, again, rtol=1e-5, atol=1e-8)


def test_guesses_are_as_close_as_the_steps_after_them_need():
    fitted = load("fit_implied_vol_guesses")
    # One Householder step of third order turns an error e into about e**4, two into e**16.
    assert fitted.fit(fitted.NEAR).error < 1e-4
    assert fitted.fit(fitted.FAR).error < 1e-2
    assert fitted.fit_quantile()[2] < 1e-3
    assert fitted.fit_short_log()[1] < 1e-7
