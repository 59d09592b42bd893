"""An index to find each tenant's newest cycle at once."""

from __future__ import annotations

from alembic import op

revision = "0002_e3"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_tenant_kind", "runs", ["tenant", "kind", "id"])


def downgrade() -> None:
    op.drop_index("ix_runs_tenant_kind", "runs")
