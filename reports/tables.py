"""The tables of reports. A report outlives the image and the people that it is about, so it refers to no other table.

The image's column is not called generation_id: rows with one of those are deleted together with the generation.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, literal_column

from store.tables import Text, metadata

reports = Table(
    "reports",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # of the interaction that sent the form
    Column("image_of", BigInteger),  # a generation; NULL: its person had everything deleted
    Column("person_id", BigInteger),  # whose image it is; NULL as well
    Column("reporter_id", BigInteger),  # NULL: the reporter had everything deleted
    Column("guild_id", BigInteger),  # in which the card stood; NULL: direct messages
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),  # empty once it was purged or deleted
    Column("at_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger),  # when to tell those who have not been told; NULL: all were
    Column("told_at_ms", BigInteger),
    Column("forget_at_ms", BigInteger),  # when the reporter's id goes, which the limit of an hour still needs
)
Index("uq_reports_reporter", reports.c.reporter_id, reports.c.image_of, unique=True)
Index("ix_reports_person_id", reports.c.person_id)
_due = reports.c.due_at_ms.is_not(None)
Index("ix_reports_due", reports.c.due_at_ms, postgresql_where=_due, sqlite_where=_due)
_forgotten = reports.c.forget_at_ms.is_not(None)
Index("ix_reports_forget", reports.c.forget_at_ms, postgresql_where=_forgotten, sqlite_where=_forgotten)
has_text = reports.c.text != literal_column("''")
Index("ix_reports_text", reports.c.at_ms, postgresql_where=has_text, sqlite_where=has_text)

report_decisions = Table(
    "report_decisions",
    metadata,
    Column("report_id", BigInteger, ForeignKey("reports.id"), primary_key=True, autoincrement=False),
    Column("scope_id", BigInteger, primary_key=True, autoincrement=False),
    Column("decision", Text, primary_key=True),
    Column("by_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

report_notices = Table(  # the messages that tell of a report
    "report_notices",
    metadata,
    Column("report_id", BigInteger, ForeignKey("reports.id"), primary_key=True, autoincrement=False),
    Column("recipient_id", BigInteger, primary_key=True, autoincrement=False),  # an owner, or a server's log channel
    Column("scope_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
)
