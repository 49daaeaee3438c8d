"""Clocks as TOML and JSON text. Floats are written by `repr`, which reads back to the same bits."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray

_KEYS = ("name", "weights", "events")
_EVENT_KEYS = ("name", "start_ns", "end_ns", "multiplier", "extra_days")


def to_json(data: Mapping[str, object]) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)


def to_toml(data: Mapping[str, Any]) -> str:
    rows = ",\n".join("  [" + ", ".join(repr(value) for value in row) + "]" for row in data["weights"])
    parts = [f"name = {_quoted(data['name'])}\nweights = [\n{rows},\n]\n"]
    for event in data["events"]:
        lines = [f"{key} = {_toml_value(event[key])}" for key in _EVENT_KEYS]
        parts.append("\n[[events]]\n" + "\n".join(lines) + "\n")
    return "".join(parts)


def _toml_value(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    # JSON strings are TOML basic strings, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read(text: str, kind: str) -> Mapping[str, object]:
    try:
        data = tomllib.loads(text) if kind == "TOML" else json.loads(text)
    except ValueError as exc:
        raise ConfigError(
            f"expected a variance clock as {kind}, found text that is not {kind}: {exc}"
        ) from exc
    if not isinstance(data, dict):
        raise ConfigError(f"expected a table with name, weights and events, found {type(data).__name__}")
    return data


def parts(data: Mapping[str, Any]) -> tuple[str, FloatArray, list[dict[str, Any]]]:
    _only(data, _KEYS, ("weights",), "clock")
    name, events = data.get("name", ""), data.get("events", [])
    if not isinstance(name, str):
        raise ConfigError(f"expected the clock's name as text, found {name!r}")
    try:
        weights = np.array(data["weights"], dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"expected seven rows of 24 weights: {exc}") from exc
    if not isinstance(events, list):
        raise ConfigError(f"expected a list of events, found {type(events).__name__}")
    for event in events:
        if not isinstance(event, dict):
            raise ConfigError(f"expected each event as a table, found {event!r}")
        _only(event, _EVENT_KEYS, ("name", "start_ns", "end_ns"), "event")
        for key in ("multiplier", "extra_days"):
            value = event.get(key, 0.0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(
                    f"expected the {key} of event {event['name']!r} as a number, found {value!r}"
                )
    return name, weights, events


def _only(data: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...], what: str) -> None:
    unknown, missing = sorted(set(data) - set(known)), [key for key in needed if key not in data]
    if unknown or missing:
        raise ConfigError(
            f"expected a {what} with {', '.join(known)}; unknown: {unknown or 'none'}, "
            f"missing: {missing or 'none'}"
        )
