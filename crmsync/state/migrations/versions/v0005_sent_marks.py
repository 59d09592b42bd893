"""What a request carries stands with it while it is in flight: the fingerprints of its records."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("in_flight", schema=None) as batch_op:
        batch_op.add_column(sa.Column("field_set", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("marks", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("in_flight", schema=None) as batch_op:
        batch_op.drop_column("marks")
        batch_op.drop_column("field_set")
