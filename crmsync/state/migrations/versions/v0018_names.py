"""The name under which a renamed tenant goes on, and the names of teams and roles that were sent."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenants", sa.Column("renamed_to", sa.String(40)))
    op.create_table(
        "lookup_names",
        sa.Column("tenant", sa.String(40), nullable=False),
        sa.Column("entity", sa.String(100), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "entity", "record_id", name="pk_lookup_names"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lookup_names")
    op.drop_column("tenants", "renamed_to")
