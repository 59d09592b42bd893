"""Leases with a token that grows with each holder, and with the machine that the holder's process is told by."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leases", sa.Column("token", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("leases", sa.Column("machine", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.execute("DELETE FROM leases WHERE holder = ''")
    op.drop_column("leases", "machine")
    op.drop_column("leases", "token")
