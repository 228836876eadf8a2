"""Run a statement that comes again by SQLite's driver alone: SQLAlchemy spells it once, and not for each execution.

SQLAlchemy itself looks up what it has compiled by the structure of the statement, and builds a context and a cursor's
result for each execution, which costs several times as much as the driver does (docs/decisions/0022-transactions.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, Select
from sqlalchemy.engine import Connection, Dialect, IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

Process = Callable[[Any], Any]  # a value as Python has it -> as the driver takes it, or back


@dataclass(frozen=True, slots=True)
class _Spelt:
    """A statement as the driver takes it. *values*: for each question mark the parameter, "" for a constant, and the
    constant or how the parameter is processed; *processed*: columns of its rows, by their number."""

    sql: str
    values: Sequence[tuple[str, Any]]
    columns: SimpleResultMetaData
    processed: Sequence[tuple[int, Process]]

    def bind(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the values for the question marks."""
        return [
            constant_or_process
            if not name
            else parameters[name]
            if constant_or_process is None
            else constant_or_process(parameters[name])
            for name, constant_or_process in self.values
        ]

    def read(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return *row* as SQLAlchemy would."""
        values = list(row)
        for number, process in self.processed:
            values[number] = process(values[number])
        return tuple(values)


class _Rows(IteratorResult[Any]):
    """A result that was read to its end. *rowcount*: as the driver tells it."""

    rowcount: int


class SqliteConnection(Connection):
    """A connection that runs SELECT, INSERT, UPDATE and DELETE as its base class does, and faster from the second time
    on that it gets the same statement object with the same names of parameters.

    No event of SQLAlchemy tells of these. Lists of parameters and expanding ones are left to the base class.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By the names of the parameters; None: left to the base class. Most statements are built anew for each
        # execution and soon forgotten.
        self._spelt = WeakKeyDictionary[Any, dict[tuple[str, ...], _Spelt | None]]()

    def execute(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        one: Any = parameters[0] if _is_one_row(parameters) else parameters or {}
        spelt = None if options else self._find_spelt(statement, one)
        return super().execute(statement, parameters, **options) if spelt is None else self._run(spelt, one)

    def scalar(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        return self.execute(statement, parameters, **options).scalar()

    def scalars(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        return self.execute(statement, parameters, **options).scalars()

    def _find_spelt(self, statement: Any, parameters: Any) -> _Spelt | None:
        if not isinstance(parameters, dict) or not isinstance(statement, (Select, UpdateBase)):
            return None
        known = self._spelt.get(statement)
        if known is None:
            self._spelt[statement] = {}
            return None
        names: tuple[str, ...] = tuple(parameters)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if names not in known:
            known[names] = _spell(statement, names, self.dialect)
        return known[names]

    def _run(self, spelt: _Spelt, parameters: Mapping[str, Any]) -> _Rows:
        driver: Any = self.connection.dbapi_connection
        try:
            cursor = driver.execute(spelt.sql, spelt.bind(parameters))
            rows: list[Any] = cursor.fetchall()  # to the end, so that nothing stays locked
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                spelt.sql, None, error, sqlite3.Error, hide_parameters=True, dialect=self.dialect
            ) from error
        if spelt.processed:
            rows = [spelt.read(row) for row in rows]
        result = _Rows(spelt.columns, iter(rows))
        result.rowcount = cursor.rowcount
        return result


def _is_one_row(parameters: Any) -> bool:
    return isinstance(parameters, list) and len(parameters) == 1  # pyright: ignore[reportUnknownArgumentType]


def _spell(statement: Any, names: Sequence[str], dialect: Dialect) -> _Spelt | None:
    """Compile *statement* for parameters of these *names*. None: it has to be spelt anew for each execution."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 (no other compiles these)
    if (
        compiled.post_compile_params
        or compiled.literal_execute_params
        or compiled.insert_prefetch
        or compiled.update_prefetch
    ):
        return None
    values = list[tuple[str, Any]]()
    for place in compiled.positiontup or ():
        bound: BindParameter[Any] = compiled.binds[place]
        name = next((name for name in (bound.key, place) if name in names), "")
        process = bound.type.dialect_impl(dialect).bind_processor(dialect)
        if name:
            values.append((name, process))
        elif bound.required:
            return None  # and the base class raises
        else:
            values.append(("", bound.effective_value if process is None else process(bound.effective_value)))
    columns = compiled._result_columns  # pyright: ignore[reportPrivateUsage] - SQLAlchemy reads its rows by them
    processes = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return _Spelt(
        compiled.string,
        values,
        SimpleResultMetaData([column.keyname for column in columns]),
        [(number, process) for number, process in enumerate(processes) if process is not None],
    )
