"""When the sync user's rights in Dynamics were looked at last."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenants", sa.Column("rights_seen_at", UtcTime()))


def downgrade() -> None:
    op.drop_column("tenants", "rights_seen_at")
