"""What is filtered and what is a tombstone are counted apart."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("counters", sa.Column("tombstones", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("counters", "tombstones")
