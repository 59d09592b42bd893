"""Activities that may come again behind a watermark, so that what was read is told from what is new."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("watermarks", sa.Column("seen", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("watermarks", "seen")
