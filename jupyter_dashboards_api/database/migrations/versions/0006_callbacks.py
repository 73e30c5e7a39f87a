"""Programs that are called when their command has ended, and owners who are sent a mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_OF_COMMANDS = (
    ("callback_url", sa.Text()),
    ("callback_secret", sa.String(128)),
    ("mail_to", sa.Text()),
)


def upgrade() -> None:
    """Adds the columns; nobody is to be told of a command that there is."""
    for name, kind in _OF_COMMANDS:
        op.add_column("commands", sa.Column(name, kind))
    with op.batch_alter_table("notifications") as table:
        table.add_column(sa.Column("command_id", sa.Integer()))
        table.add_column(sa.Column("secret", sa.String(128)))
        table.create_foreign_key(
            "fk_notifications_command_id_commands",
            "commands",
            ["command_id"],
            ["id"],
            ondelete="SET NULL",
        )
        table.create_index("ix_notifications_command_id", ["command_id"])


def downgrade() -> None:
    """What commands are to be told of is lost: it could not be signed any more."""
    op.execute("DELETE FROM notifications WHERE schedule_id IS NULL")
    with op.batch_alter_table("notifications") as table:
        table.drop_index("ix_notifications_command_id")
        table.drop_constraint("fk_notifications_command_id_commands", type_="foreignkey")
        table.drop_column("command_id")
        table.drop_column("secret")
    with op.batch_alter_table("commands", table_kwargs={"sqlite_autoincrement": True}) as table:
        for name, _ in _OF_COMMANDS:
            table.drop_column(name)
