"""What the PBXs say of mailboxes: the newest of each is kept, for Kamailio's next start and for people."""

from __future__ import annotations

from sqlalchemy.orm import Session

from control.domain.connection import ConnectionSpec
from control.domain.mailbox import Mailbox
from control.domain.secret import Secret
from control.services import connections, mailboxes, people


def test_the_newest_of_each_mailbox_is_kept_and_goes_with_its_connection(session: Session) -> None:
    people.add_user(session, "alice")
    spec = ConnectionSpec("office", "192.0.2.7", "1002", Secret("pw"), users=("alice",))
    office = connections.add_connection(session, spec).id
    newest = Mailbox("office", waiting=True, new=2, old=8, at=200.0)
    mailboxes.record(session, office, Mailbox("office", waiting=True, new=1, old=8, at=100.0))
    mailboxes.record(session, office, newest)
    mailboxes.record(session, office, Mailbox("office", waiting=False, new=0, old=8, at=150.0))
    mailboxes.record(session, "gone", newest)
    assert mailboxes.notes(session) == {office: "yes 2/8"}
    assert mailboxes.of_users(session, ["alice", "bob"]) == {"alice": [newest]}
    connections.remove_connection(session, office)
    session.flush()
    assert mailboxes.notes(session) == {}
