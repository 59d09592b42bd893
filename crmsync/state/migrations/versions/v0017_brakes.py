"""What runs took away that have not ended well, and what is held until an operator allows it."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "brakes",
        sa.Column("tenant", sa.String(40), nullable=False),
        sa.Column("entity", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("direction", sa.String(30), nullable=False),
        sa.Column("field", sa.String(255), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("since", UtcTime()),
        sa.Column("said", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "entity", "kind", "direction", "field", name="pk_brakes"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("brakes")
