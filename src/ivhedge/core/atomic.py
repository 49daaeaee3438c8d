"""Write files so that a reader sees the old one or the new one, never half of one."""

import os
import tempfile
from pathlib import Path

from ivhedge.core.errors import ConfigError

__all__ = ["write_bytes", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a temporary neighbour, then rename it into place.

    Raises
    ------
    ConfigError
        If the folder or the file cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a temporary neighbour, then rename it into place.

    Raises
    ------
    ConfigError
        If the folder or the file cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as exc:
        raise ConfigError(
            f"{path}: expected a place to write, found: {exc.strerror or exc}; choose another path"
        ) from exc
    finally:
        # Gone already when it was renamed; an interrupt must leave no rubbish either.
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
