"""Content hashes: what data a period holds, what code runs, and from these the id of a run.

An id changes with everything that can change a run's result, and with nothing else: labels are not in it.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

import ivhedge
from ivhedge.pricing.jit import jit_available

__all__ = ["canonical", "code_version", "data_version", "digest", "plain"]

_ROOMS = ("core", "pricing", "market", "surface", "forecast", "ledger", "risk", "hedge", "engine")
_LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "polars", "piqp")
_DATA = (".py", ".toml", ".json", ".csv")
_DECIDING = ("work.py", "periods.py")
"""Of the sweep: what decides a run's result."""
_LENGTH = 20


def digest(*parts: bytes) -> str:
    """Short hex digest of parts, of which each is told apart from the next."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()[:_LENGTH]


@cache
def code_version() -> str:
    """Digest of the code that a run passes through and of the versions of the libraries beneath it.

    Notes
    -----
    The sweep's own statistics are not part of it, but what cuts its periods and makes a run's record is, and
    so is whether kernels are compiled: their numpy twins round otherwise.
    """
    root = Path(ivhedge.__file__).parent
    files = sorted(
        path
        for room in _ROOMS
        for path in (root / room).rglob("*")
        if path.suffix in _DATA and (path.parent.name != "sweep" or path.name in _DECIDING)
    )
    named = [(path.relative_to(root).as_posix().encode(), path.read_bytes()) for path in files]
    parts = [part for pair in named for part in pair]
    known = [f"{name} {_version(name)}" for name in _LIBRARIES]
    compiled = f"compiled {jit_available()}"
    about = [*known, compiled, ".".join(platform.python_version_tuple()[:2]), platform.machine()]
    return digest(*parts, *(text.encode() for text in about))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def data_version(*tables: pl.DataFrame) -> str:
    """Digest of the rows of tables, whatever files they came from.

    Notes
    -----
    Of their text: floats are written so that they read back exactly, hence equal text is equal data.
    """
    return digest(*(table.write_csv().encode() for table in tables))


def plain(value: object, *, without: frozenset[str] = frozenset()) -> object:
    """Bring a specification to JSON values, leaving out fields that are labels."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: plain(getattr(value, item.name)) for item in fields(value) if item.name not in without
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(str(plain(item)) for item in value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def canonical(value: object) -> bytes:
    """Write JSON values so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
