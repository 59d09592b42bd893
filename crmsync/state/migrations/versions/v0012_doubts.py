"""What would stop a tenant is noted when it is met first: the class of the error, its text, and when that was."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = (("doubt", sa.String(40)), ("doubt_reason", sa.Text()), ("doubted_at", UtcTime()))


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("tenants", sa.Column(name, kind))


def downgrade() -> None:
    for name, _ in reversed(COLUMNS):
        op.drop_column("tenants", name)
