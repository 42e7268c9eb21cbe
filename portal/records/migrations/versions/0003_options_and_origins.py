"""What was chosen for a snapshot beside its kind, and what an export was made of

Revision: 0003, after 0002. 2026-11-24
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_snapshots = sa.table(
    "snapshots",
    sa.column("skip_unused", sa.Boolean()),
    sa.column("options", sa.Text()),
)


def upgrade() -> None:
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.add_column(sa.Column("options", sa.Text(), nullable=False, server_default="{}"))
        snapshots.add_column(sa.Column("origin_id", sa.BigInteger(), nullable=True))
        snapshots.create_foreign_key(
            "fk_snapshots_origin_id_snapshots", "snapshots", ["origin_id"], ["id"]
        )
        snapshots.create_index("ix_snapshots_origin_id", ["origin_id"])
    every_sector = json.dumps({"skip_unused": False}, separators=(",", ":"))
    op.execute(
        _snapshots.update()
        .where(_snapshots.c.skip_unused == sa.false())
        .values(options=every_sector)
    )
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.alter_column("options", server_default=None)
        snapshots.drop_column("skip_unused")


def downgrade() -> None:
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.add_column(
            sa.Column("skip_unused", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    every_sector = _snapshots.c.options.like('%"skip_unused":false%')
    op.execute(_snapshots.update().where(every_sector).values(skip_unused=sa.false()))
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.alter_column("skip_unused", server_default=None)
        snapshots.drop_index("ix_snapshots_origin_id")
        snapshots.drop_constraint("fk_snapshots_origin_id_snapshots", type_="foreignkey")
        snapshots.drop_column("origin_id")
        snapshots.drop_column("options")
