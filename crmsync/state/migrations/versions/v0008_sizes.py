"""SQLite is told that the large tables are large: without figures it takes the primary key for queries that an index
answers, and reads a tenant's whole table.

Figures that are set by hand: "Manual Control Of Query Plans Using SQLITE_STAT Tables" (SQLite, "The SQLite Query
Optimizer Overview"). PostgreSQL counts by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SIZES = {
    ("records", "records"): "1000000 1000000 300000 1",
    ("records", "ix_records_waiting_owner"): "100000 100000 100",
    ("records", "ix_records_waiting_company"): "100000 100000 10",
    ("records", "ix_records_parent_id"): "100000 100000 3",
    ("records", "ix_records_middle_id"): "100000 100000 3",
    ("records", "ix_records_marketo_id"): "1000000 1000000 1",
    ("records", "ix_records_unnumbered"): "10000 10000 5000",
    ("participants", "participants"): "100000 100000 1 1",
    ("participants", "ix_participants_tenant_opportunity_id"): "100000 100000 3",
    ("participants", "ix_participants_tenant_person_id"): "100000 100000 3",
}
"""Rows in the index, and how many there are on average with the same first column, the same first two, and so on."""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    connection.exec_driver_sql("PRAGMA analysis_limit = 100")
    connection.exec_driver_sql("ANALYZE")  # makes the table of figures
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    rows = [{"tbl": table, "idx": index, "stat": stat} for (table, index), stat in SIZES.items()]
    connection.execute(sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:tbl, :idx, :stat)"), rows)
    connection.exec_driver_sql("ANALYZE sqlite_schema")


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        connection.exec_driver_sql("ANALYZE sqlite_schema")
