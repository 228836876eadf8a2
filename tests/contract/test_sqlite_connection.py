"""Statements that SQLite's driver runs without SQLAlchemy: their rows, values and errors are those of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.pool import StaticPool

from store.sqlite_connection import SqliteConnection
from store.tables import Text

notes = Table(
    "notes",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("words", Text, nullable=False, unique=True),
    Column("private", Boolean),
)
_of = notes.c.number == bindparam("of_number")
FIND = select(notes).where(_of)
COUNT = select(func.count()).select_from(notes).where(notes.c.words != "constant")
INSERT = insert(notes)
RENAME = update(notes).where(_of).values(words=notes.c.words + "!").returning(notes)
DELETE = delete(notes).where(_of)
AMONG = select(notes.c.words).where(notes.c.number.in_(bindparam("numbers", expanding=True))).order_by(notes.c.number)


class Counting:
    """A connection, and how many statements SQLAlchemy has executed on it."""

    def __init__(self, connection: SqliteConnection) -> None:
        self.connection = connection
        self.by_sqlalchemy = 0

    def executed(self, *_facts: object) -> None:
        self.by_sqlalchemy += 1


@pytest.fixture
def counting() -> Iterator[Counting]:
    engine = create_engine("sqlite://", poolclass=StaticPool, hide_parameters=True)
    notes.metadata.create_all(engine)
    connection = SqliteConnection(engine)
    with connection:
        for number, words in enumerate(("constant", "second", "third")):
            connection.execute(INSERT, {"number": number, "words": words, "private": number == 1})
        counting = Counting(connection)
        event.listen(engine, "before_cursor_execute", counting.executed)
        yield counting
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (FIND, {"of_number": 1}),
        (FIND, {"of_number": 9}),
        (COUNT, {}),
        (AMONG, {"numbers": [0, 2]}),
        (select(notes.c.private, literal_column("7").label("seven")), {}),
    ],
)
def test_the_first_rows_of_a_statement_are_those_of_later_ones(
    counting: Counting, statement: Any, parameters: dict[str, Any]
) -> None:
    first, second, third = (counting.connection.execute(statement, parameters).mappings().all() for _ in range(3))
    assert [dict(row) for row in first] == [dict(row) for row in second] == [dict(row) for row in third]
    assert [type(value) for row in first for value in row.values()] == [
        type(value) for row in second for value in row.values()
    ]


def test_sqlalchemy_executes_a_statement_only_once(counting: Counting) -> None:
    found = [counting.connection.execute(FIND, {"of_number": number}).one() for number in (0, 1, 2)]
    assert [row.words for row in found] == ["constant", "second", "third"]
    assert counting.by_sqlalchemy == 1


def test_a_row_with_other_columns_is_spelt_anew(counting: Counting) -> None:
    counting.connection.execute(INSERT, {"number": 7, "words": "without"})
    counting.connection.execute(INSERT, [{"number": 8, "words": "with", "private": True}])
    stored = [tuple(counting.connection.execute(FIND, {"of_number": number}).one()) for number in (7, 8)]
    assert stored == [(7, "without", None), (8, "with", True)]


def test_values_and_rows_are_processed_and_changed_rows_counted(counting: Counting) -> None:
    counting.connection.execute(INSERT, {"number": 5, "words": "nul \x00 and \ud800", "private": False})
    for words in ("nul \ufffd and ?!", "nul \ufffd and ?!!"):
        assert counting.connection.execute(RENAME, {"of_number": 5}).one() == (5, words, False)
    assert [counting.connection.execute(DELETE, {"of_number": number}).rowcount for number in (5, 5, 1)] == [1, 0, 1]
    assert counting.connection.scalar(COUNT) == 1


def test_an_error_of_the_driver_is_raised_as_sqlalchemy_raises_it_without_values(counting: Counting) -> None:
    with pytest.raises(IntegrityError) as raised:
        counting.connection.execute(INSERT, {"number": 6, "words": "second", "private": False})
    assert "second" not in str(raised.value)
    assert counting.by_sqlalchemy == 0
    for _ in range(2):
        with pytest.raises(StatementError, match="of_number"):
            counting.connection.execute(FIND, {"of_name": 1})
