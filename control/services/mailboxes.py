"""The mailboxes at the PBXs: what each was last said to hold, so that neither Kamailio nor a person has to ask again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.mailbox import Mailbox
from control.store.models import Connection, MailboxState, connection_users
from kemi.wire import mailbox_note


def record(session: Session, connection: str, said: Mailbox) -> None:
    """Keep what a PBX says of the mailbox of a connection (its id). Older news, and those of a connection that is gone, are not."""
    if session.get(Connection, connection) is None:
        return
    row = session.get(MailboxState, connection)
    if row is None:
        row = MailboxState(connection_id=connection, at=0.0, waiting=False, new=0, old=0)
        session.add(row)
    if row.at <= said.at:
        row.at, row.waiting, row.new, row.old = said.at, said.waiting, said.new, said.old
    session.flush()


def notes(session: Session) -> dict[str, str]:
    """All of them by connection id, as Kamailio notes them."""
    rows = session.scalars(select(MailboxState))
    return {row.connection_id: mailbox_note(row.waiting, row.new, row.old) for row in rows}


def of_users(session: Session, users: Iterable[str]) -> Mapping[str, Sequence[Mailbox]]:
    """The mailboxes of the connections that ring these people, in the order of the connections' names."""
    query = (
        select(connection_users.c.user_id, Connection.name, MailboxState)
        .join(Connection, Connection.id == connection_users.c.connection_id)
        .join(MailboxState, MailboxState.connection_id == Connection.id)
        .where(connection_users.c.user_id.in_(set(users)))
        .order_by(Connection.name)
    )
    found: defaultdict[str, list[Mailbox]] = defaultdict(list)
    for user, name, row in session.execute(query):
        found[user].append(Mailbox(name, row.waiting, row.new, row.old, row.at))
    return found
