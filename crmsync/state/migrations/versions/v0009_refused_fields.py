"""A field is the unit of refusal: sync errors of single fields, with the fingerprint of the value that was refused."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY = ["tenant", "entity", "record_id", "direction"]


def upgrade() -> None:
    with op.batch_alter_table("sync_errors") as table:
        table.add_column(sa.Column("field", sa.String(length=255), nullable=False, server_default=""))
        table.add_column(sa.Column("refused", sa.String(length=12), nullable=True))
        table.drop_constraint("pk_sync_errors", type_="primary")
        table.create_primary_key("pk_sync_errors", [*KEY, "field"])


def downgrade() -> None:
    op.execute("DELETE FROM sync_errors WHERE field <> ''")
    with op.batch_alter_table("sync_errors") as table:
        table.drop_constraint("pk_sync_errors", type_="primary")
        table.create_primary_key("pk_sync_errors", KEY)
        table.drop_column("refused")
        table.drop_column("field")
