"""Finds each tenant's newest cycle at once, and remembers when records that wait for a parent were looked through."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_tenant_kind", "runs", ["tenant", "kind", "id"])
    op.add_column("checkpoints", sa.Column("parents_met", sa.BigInteger()))


def downgrade() -> None:
    with op.batch_alter_table("checkpoints") as batch_op:
        batch_op.drop_column("parents_met")
    op.drop_index("ix_runs_tenant_kind", "runs")
