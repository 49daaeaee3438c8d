"""Seconds until a fresh process has its first implied vol, and our speed on a narrower instruction set."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_START = """
import json, time
start = time.perf_counter(), time.process_time()
import ivhedge.pricing
ready = time.perf_counter(), time.process_time()
vol = ivhedge.pricing.implied_vol(5.0, 100.0, 110.0, 0.5, True)
first = time.perf_counter(), time.process_time()
assert 0.2 < vol < 0.5
print(json.dumps({
    "import_s": ready[0] - start[0], "import_cpu_s": ready[1] - start[1],
    "first_vol_s": first[0] - start[0], "first_vol_cpu_s": first[1] - start[1],
}))
"""

# LLVM takes the features of the host whatever the processor's name, unless they are given.
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,-avx512f"}


def start_up(runs: int = 3) -> dict[str, dict[str, float]]:
    """Measure with an empty and with a filled compiler cache, medians; both include the import of numpy."""
    cold, cached = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(_run(["-c", _START], {"NUMBA_CACHE_DIR": cache}))
            cached.append(_run(["-c", _START], {"NUMBA_CACHE_DIR": cache}))
    return {"cold_cache": _medians(cold), "filled_cache": _medians(cached)}


def narrow_vectors(points: int, repeats: int) -> dict[str, Any]:
    """Run our own part of the benchmark as if the processor had 256-bit vectors only."""
    script = str(Path(__file__).with_name("pricing.py"))
    with tempfile.TemporaryDirectory() as cache:
        own = ["--own-only", "--points", str(points), "--repeats", str(repeats)]
        found = _run([script, *own], {"NUMBA_CACHE_DIR": cache, **AVX2})
    return {"ns_per_option": found["ns_per_option"], "processor": AVX2["NUMBA_CPU_NAME"]}


def _run(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
