"""Finished runs on disk: one JSON file per run, named by its id, written whole or not at all."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ivhedge.core import atomic
from ivhedge.core.errors import ConfigError
from ivhedge.engine.sweep.work import Record

__all__ = ["RunStore"]

_RUNS = "runs"


@dataclass(frozen=True, slots=True)
class RunStore:
    """Records of runs in a folder.

    Parameters
    ----------
    folder : Path
        Made when the first run is written.
    """

    folder: Path

    @property
    def runs(self) -> Path:
        """Where the records lie."""
        return self.folder / _RUNS

    def held(self) -> frozenset[str]:
        """Ids of all records in the folder, whatever sweep they belong to.

        Raises
        ------
        ConfigError
            If the folder cannot be one.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"{self.folder}: expected a folder, found a file; choose another --out")
        return frozenset(path.stem for path in self.runs.glob("*.json"))

    def done(self, ids: Iterable[str]) -> dict[str, Record]:
        """Records among `ids` that need not be made again; failed and unreadable ones are made again."""
        found = {run_id: self.read(run_id) for run_id in sorted(self.held() & frozenset(ids))}
        return {key: item for key, item in found.items() if item is not None and item["status"] == "done"}

    def read(self, run_id: str) -> Record | None:
        """Record of a run; None if there is none or it is no record of this run."""
        try:
            record = json.loads(self._path(run_id).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            return None
        is_record = isinstance(record, dict) and record.get("id") == run_id and "status" in record
        return record if is_record else None

    def write(self, record: Record) -> None:
        """Write a record, replacing an earlier one of the same run in one step.

        Raises
        ------
        ConfigError
            If the folder cannot be written.
        """
        target = self._path(str(record["id"]))
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        atomic.write_text(target, text + "\n")

    def _path(self, run_id: str) -> Path:
        return self.runs / f"{run_id}.json"
