"""Disk layouts, and whether a snapshot left out unused space

Revision: 0002, after 0001. 2026-11-22
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("disks") as disks:
        disks.add_column(sa.Column("layout", sa.Text(), nullable=True))
        disks.add_column(sa.Column("inspected_at", sa.DateTime(timezone=True), nullable=True))
    # Every snapshot before this one read every sector.
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.add_column(
            sa.Column("skip_unused", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.alter_column("skip_unused", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.drop_column("skip_unused")
    with op.batch_alter_table("disks") as disks:
        disks.drop_column("inspected_at")
        disks.drop_column("layout")
