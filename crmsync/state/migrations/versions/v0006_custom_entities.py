"""Custom entities: the record that leads one to the person or the company that it belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("middle_id", sa.String(length=36), nullable=True))
    op.create_index(
        "ix_records_middle_id",
        "records",
        ["tenant", "middle_id"],
        sqlite_where=sa.text("middle_id IS NOT NULL"),
        postgresql_where=sa.text("middle_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_records_middle_id", "records")
    op.drop_column("records", "middle_id")
