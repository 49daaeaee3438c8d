"""Read-only SQL over the store, with DuckDB."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ivhedge.core.errors import ConfigError, DataError

__all__ = ["run_select"]


def run_select(sql: str, views: Mapping[str, Path], root: Path) -> pl.DataFrame:
    """Run one SELECT over Parquet partitions.

    Parameters
    ----------
    sql : str
        A single SELECT (WITH and set operations included).
    views : mapping of view name to directory
        Each becomes a view over the ``*.parquet`` files below it, with a column `date` from the path.
    root : Path
        The only directory that a query may read.

    Raises
    ------
    ConfigError
        If the text is not one SELECT.
    DataError
        If the query fails, for instance on an unknown column or a damaged file.
    """
    import duckdb

    with duckdb.connect(":memory:") as connection:
        try:
            statements = connection.extract_statements(sql)
        except duckdb.Error as exc:
            raise ConfigError(
                f"expected one SELECT statement, found text that does not parse: {exc}"
            ) from exc
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = [str(statement.type) for statement in statements]
            raise ConfigError(f"expected one SELECT statement, found {kinds}; the store is read-only")
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET allowed_directories = [{_quoted(str(root.resolve()))}]")
            connection.execute("SET enable_external_access = false")
            for name, folder in views.items():
                files = _quoted(str(folder.resolve() / "**" / "part.parquet"))
                connection.execute(
                    f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files}, hive_partitioning = true, "
                    "hive_types = {'venue': VARCHAR, 'underlying': VARCHAR, 'date': DATE})"
                )
            connection.execute("SET lock_configuration = true")
            result = connection.execute(sql)
            types = [str(column[1]) for column in result.description or ()]
            return _to_table(result.fetchnumpy(), types)
        except duckdb.Error as exc:
            raise DataError(
                f"the query failed: {exc}; `DESCRIBE` is not a SELECT, use "
                "'SELECT * FROM chains LIMIT 1' to see the columns"
            ) from exc


def _to_table(columns: Mapping[str, NDArray[np.generic]], types: list[str]) -> pl.DataFrame:
    # NumPy rather than the Arrow stream: reading that leaves objects behind which duckdb 2.0 reports on
    # the terminal when the program ends.
    pairs = zip(columns.items(), types, strict=True)
    return pl.DataFrame([_to_series(name, array, kind) for (name, array), kind in pairs])


def _to_series(name: str, array: NDArray[np.generic], kind: str) -> pl.Series:
    hidden = np.ma.getmaskarray(array)
    data = np.ma.getdata(array)
    if data.dtype == object:
        values = [None if gone else value for value, gone in zip(data.tolist(), hidden, strict=True)]
        return pl.Series(name, values, dtype=pl.String() if kind == "VARCHAR" else None, strict=False)
    series = pl.Series(name, data)
    if hidden.any():
        series = series.set(pl.Series(hidden), None)
    if kind == "DATE":
        return series.cast(pl.Date())
    if series.dtype.is_temporal() and ("TIME ZONE" in kind or "TIMESTAMPTZ" in kind):
        return series.dt.replace_time_zone("UTC")
    return series


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
