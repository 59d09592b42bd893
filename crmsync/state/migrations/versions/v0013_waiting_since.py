"""Marks for later say since when they wait, so that what waits too long is seen."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pending", sa.Column("since", UtcTime()))
    pending = sa.table("pending", sa.column("since", UtcTime()))
    op.get_bind().execute(sa.update(pending).values(since=datetime.now(UTC)))


def downgrade() -> None:
    op.drop_column("pending", "since")
