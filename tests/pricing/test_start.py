import os
import subprocess
import sys

import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import warmup
from ivhedge.pricing.jit import jit_available
from ivhedge.pricing.threads import set_threads

needs_numba = pytest.mark.skipif(not jit_available(), reason="numba is absent or disabled")


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_import_starts_nothing():
    run(
        "import sys, threading, ivhedge.pricing\n"
        "late = {'numba', 'llvmlite', 'scipy', 'polars', 'pandas', 'concurrent.futures', 'multiprocessing'}\n"
        "assert not late & set(sys.modules), late & set(sys.modules)\n"
        "assert threading.active_count() == 1\n"
    )


@needs_numba
@pytest.mark.parametrize(
    ("call", "needless"),
    [
        ("implied_vol(5., 100., 110., .5, True)", "_price_numba _greeks_numba"),
        ("black76_price(100., 110., .5, .4, True)", "_implied_vol_numba _greeks_numba"),
    ],
)
def test_a_first_result_waits_for_its_own_kernel_only(call, needless):
    run(
        f"import sys, ivhedge.pricing as p\n"
        f"assert p.{call} > 0\n"
        f"for name in {needless!r}.split():\n"
        f"    assert 'ivhedge.pricing.' + name not in sys.modules, name\n"
    )


@needs_numba
def test_after_the_warm_up_nothing_is_compiled_or_loaded_any_more():
    run(
        "import numpy as np, ivhedge.pricing as p\n"
        "from numba.core import event\n"
        "p.warmup()\n"
        "with event.install_recorder('numba:compile') as compiled:\n"
        "    k = np.linspace(50., 150., 70_001)[::-1]\n"
        "    price = p.black76_price(100, k, 0.5, np.float32(0.5), k > 100)\n"
        "    assert abs(p.implied_vol(price, 100, k, 0.5, k > 100) - 0.5).max() < 1e-12\n"
        "    p.black76_greeks(100, k, 0.5, 0.5, True)\n"
        "    p.black76_greeks(100, k, 0.5, 0.5, True, names=('vega',))\n"
        "    p.scenario_grid(100, k[:999], 0.5, True, 1, spot_shocks=(0, .1), vols=.4, vol_shocks=(0, .2))\n"
        "assert [e.data['dispatcher'].py_func.__name__ for _, e in compiled.buffer] == []\n"
    )


@needs_numba
def test_kernels_come_from_the_cache_in_the_next_process(tmp_path):
    code = (
        "import ivhedge.pricing as p, ivhedge.pricing._price_numba as kernels\n"
        "p.black76_price(100., 110., .5, .4, True)\n"
        "hits = kernels.price_kernel.dispatcher().stats.cache_hits\n"
        "assert sum(hits.values()) == {}\n"
    )
    run(code.format(0), NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("*.nbc"))
    run(code.format(1), NUMBA_CACHE_DIR=str(tmp_path))


def test_the_warm_up_notices_a_wrong_number_of_threads(monkeypatch):
    set_threads(None)
    monkeypatch.setenv("IVHEDGE_THREADS", "many")
    with pytest.raises(ConfigError, match="IVHEDGE_THREADS"):
        warmup()
