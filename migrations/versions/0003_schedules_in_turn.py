"""schedules in turn."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("backup_schedules", sa.Column("kept_at", mysql.DATETIME(fsp=6), nullable=True))
    op.create_index("backup_schedules_kept", "backup_schedules", ["kept_at"], unique=False)
