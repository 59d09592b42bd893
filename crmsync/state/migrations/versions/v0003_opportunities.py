"""Opportunities and their roles: who takes part, what a role hangs on, and what is left for later in a run."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("parent_id", sa.String(length=36), nullable=True))
    op.create_index(
        "ix_records_parent_id",
        "records",
        ["tenant", "parent_id"],
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_table(
        "pending",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "entity", "kind", "record_id", name=op.f("pk_pending")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "participants",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("source_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("opportunity_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("role_id", sa.String(length=36), nullable=True),
        sa.Column("since", UtcTime(), nullable=True),
        sa.Column("read_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source_id", "kind", name=op.f("pk_participants")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_participants_tenant_opportunity_id", "participants", ["tenant", "opportunity_id"])
    op.create_index("ix_participants_tenant_person_id", "participants", ["tenant", "person_id"])


def downgrade() -> None:
    op.drop_table("participants")
    op.drop_table("pending")
    op.drop_index("ix_records_parent_id", "records")
    op.drop_column("records", "parent_id")
