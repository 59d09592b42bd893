"""Leases with a token that grows with each holder, and with the machine that the holder's process is told by; and an
index of the people without a number that is in their order.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


UNNUMBERED = sa.and_(sa.column("marketo_id").is_(None), sa.column("in_marketo").is_(True))


def upgrade() -> None:
    op.add_column("leases", sa.Column("token", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("leases", sa.Column("machine", sa.Text, nullable=False, server_default=""))
    _index_unnumbered(["tenant", "entity", "record_id"], "10000 10000 5000 1")


def downgrade() -> None:
    _index_unnumbered(["tenant", "entity"], "10000 10000 5000")
    op.execute("DELETE FROM leases WHERE holder = ''")
    op.drop_column("leases", "machine")
    op.drop_column("leases", "token")


def _index_unnumbered(columns: list[str], figures: str) -> None:
    name = "ix_records_unnumbered"
    op.drop_index(name, table_name="records")
    op.create_index(name, "records", columns, sqlite_where=UNNUMBERED, postgresql_where=UNNUMBERED)
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        row = {"tbl": "records", "idx": name, "stat": figures}
        connection.execute(sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:tbl, :idx, :stat)"), row)
        connection.exec_driver_sql("ANALYZE sqlite_schema")
