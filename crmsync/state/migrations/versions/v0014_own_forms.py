"""What Marketo makes of a value that it stores in its own way, as fingerprints: its own form is no change."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "own_forms",
        sa.Column("tenant", sa.String(40), nullable=False),
        sa.Column("entity", sa.String(100), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("field", sa.String(255), nullable=False),
        sa.Column("sent", sa.LargeBinary(), nullable=False),
        sa.Column("stored", sa.LargeBinary(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "entity", "record_id", "field", name="pk_own_forms"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("own_forms")
