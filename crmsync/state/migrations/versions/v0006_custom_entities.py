"""Custom entities: whom a record waits for before it is written."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("waiting_parent", sa.String(length=36), nullable=True))
    op.create_index(
        "ix_records_waiting_parent",
        "records",
        ["tenant", "waiting_parent"],
        sqlite_where=sa.text("waiting_parent IS NOT NULL"),
        postgresql_where=sa.text("waiting_parent IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_records_waiting_parent", "records")
    op.drop_column("records", "waiting_parent")
