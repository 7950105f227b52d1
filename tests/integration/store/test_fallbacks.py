"""Where a person's calls go when nobody wakes: what is kept, what is refused, what is told to Kamailio."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from control.domain.connection import ConnectionSpec
from control.domain.errors import InvalidFieldError, NotFoundError
from control.domain.fallback import DEVICE, NUMBER, Fallback, parse
from control.domain.secret import Secret
from control.services import connections, fallbacks, outbox, people
from control.services.projection_rows import Rows
from kemi.wire import LineDoc

DOMAIN = "nightbell.test"


@pytest.fixture
def devices(session: Session) -> dict[str, str]:
    """Alice, Bob and Carol, with a device each."""
    for user in ("alice", "bob", "carol"):
        people.add_user(session, user)
    return {
        user: people.add_device(session, user, "Phone", DOMAIN)[0].id for user in ("alice", "bob", "carol")
    }


def connection(session: Session, user: str, extension: str, **changes: object) -> str:
    spec = ConnectionSpec(
        f"ext-{extension}",
        "pbx.example",
        extension,
        Secret("pa55word"),
        users=(user,),
        **changes,  # type: ignore[arg-type]
    )
    return connections.add_connection(session, spec).id


def choose(session: Session, user: str, text: str) -> Fallback:
    return fallbacks.choose(session, people.get_user(session, user), parse(text))


def line(session: Session, user: str) -> LineDoc:
    return LineDoc.decode(Rows(session, DOMAIN, {}, b"").lines([user])[f"sip:{user}@{DOMAIN}"])


def test_a_device_of_somebody_else_is_kept_and_told(session: Session, devices: dict[str, str]) -> None:
    head = outbox.latest(session)
    assert str(choose(session, "alice", f"device:{devices['bob']}")) == f"device:{devices['bob']}"
    assert [(c.kind, c.key) for c in outbox.since(session, head)] == [("line", "alice")]
    assert line(session, "alice").fallback_device == devices["bob"]
    choose(session, "alice", "none")
    assert line(session, "alice").fallback_device == ""


def test_a_number_goes_through_the_persons_own_connection_unless_one_is_named(
    session: Session, devices: dict[str, str]
) -> None:
    own, other = connection(session, "alice", "1001"), connection(session, "bob", "1002")
    choose(session, "alice", "number:+4930123")
    found = line(session, "alice")
    assert (found.fallback_number, found.fallback_connection) == ("+4930123", own)
    alice = people.get_user(session, "alice")
    fallbacks.choose(session, alice, Fallback(NUMBER, "+4930123"), connections.get_connection(session, other))
    assert line(session, "alice").fallback_connection == other


@pytest.mark.parametrize(
    "text", ["", "nobody", "device:", "number:", "number:12 34", "phone:x", "number:\r\n1"]
)
def test_what_is_no_fallback_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError):
        parse(text)


def test_a_device_of_ones_own_or_of_nobody_is_refused(session: Session, devices: dict[str, str]) -> None:
    with pytest.raises(InvalidFieldError, match="rung and woken anyway"):
        choose(session, "alice", f"device:{devices['alice']}")
    with pytest.raises(NotFoundError):
        choose(session, "alice", "device:nobody-1")
    with pytest.raises(InvalidFieldError, match="has no connection"):
        choose(session, "alice", "number:110")
    with pytest.raises(InvalidFieldError, match="only a number"):
        fallbacks.choose(
            session,
            people.get_user(session, "alice"),
            Fallback(DEVICE, devices["bob"]),
            connections.get_connection(session, connection(session, "bob", "1002")),
        )


def test_a_way_that_leads_back_is_refused_and_shown(session: Session, devices: dict[str, str]) -> None:
    choose(session, "alice", f"device:{devices['bob']}")
    choose(session, "bob", f"device:{devices['carol']}")
    with pytest.raises(InvalidFieldError) as refused:
        choose(session, "carol", f"device:{devices['alice']}")
    way = f"carol → device:{devices['alice']} → alice → device:{devices['bob']} → bob"
    assert way in str(refused.value)
    assert line(session, "carol").fallback_device == ""


def test_a_number_that_is_an_extension_here_leads_back_too(session: Session, devices: dict[str, str]) -> None:
    connection(session, "alice", "1001")
    connection(session, "bob", "1002")
    with pytest.raises(InvalidFieldError, match="lead back: alice → number:1001 → alice"):
        choose(session, "alice", "number:1001")
    choose(session, "alice", "number:1002")
    with pytest.raises(InvalidFieldError, match="lead back"):
        choose(session, "bob", f"device:{devices['alice']}")


def test_a_number_of_a_trunk_leads_back_too(session: Session, devices: dict[str, str]) -> None:
    connection(session, "alice", "1001")
    spec = ConnectionSpec(
        "trunk", "trunk.example", "t", Secret("x"), strategy="trunk", numbers=(("+4930123", "alice"),)
    )
    connections.add_connection(session, spec)
    with pytest.raises(InvalidFieldError, match="lead back"):
        choose(session, "alice", "number:+4930123")


def test_what_is_removed_is_nobodys_fallback_any_more(session: Session, devices: dict[str, str]) -> None:
    mine = connection(session, "carol", "1003")
    choose(session, "alice", f"device:{devices['bob']}")
    choose(session, "carol", "number:110")
    assert people.remove_device(session, devices["bob"]) == ["alice"]
    assert connections.remove_connection(session, mine) == ["carol"]
    assert str(fallbacks.of(people.get_user(session, "alice"))) == "none"
    assert line(session, "carol").fallback_number == ""


def test_a_person_who_is_removed_takes_the_fallback_of_others_along(
    session: Session, devices: dict[str, str]
) -> None:
    choose(session, "alice", f"device:{devices['bob']}")
    assert people.remove_user(session, "bob") == ["alice"]
    assert line(session, "alice").fallback_device == ""
