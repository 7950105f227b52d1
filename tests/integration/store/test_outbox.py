"""The outbox keeps the order of the commits."""

from __future__ import annotations

import threading

from control.services import outbox, people
from control.store.session import Store


def test_a_change_that_is_rolled_back_leaves_no_word(store: Store) -> None:
    with store.read() as session:  # a read session is rolled back
        people.add_user(session, "alice")
    with store.read() as session:
        assert outbox.latest(session) == 0


def test_no_reader_sees_a_later_change_before_an_earlier_one(store: Store) -> None:
    """Two writers at once: the second's id must not become visible while the first, smaller one is not yet."""
    first_noted, may_commit, second_done = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with store.write() as session:
            outbox.note(session, outbox.LINE, "first")
            first_noted.set()
            may_commit.wait(10)

    def second() -> None:
        first_noted.wait(10)
        with store.write() as session:
            outbox.note(session, outbox.LINE, "second")
        second_done.set()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    assert first_noted.wait(10)
    assert not second_done.wait(0.3), "the second writer got past the first"
    with store.read() as session:
        assert outbox.since(session, 0) == []
    may_commit.set()
    for thread in threads:
        thread.join(10)
    with store.read() as session:
        assert [change.key for change in outbox.since(session, 0)] == ["first", "second"]


def test_pruning_never_makes_the_count_begin_anew(store: Store) -> None:
    with store.write() as session:
        outbox.note(session, outbox.LINE, "a", "b", "c", at=100.0)
    with store.write() as session:
        assert outbox.prune(session, 200.0) == 2
        assert outbox.latest(session) == 3
        outbox.note(session, outbox.LINE, "d")
        assert [change.id for change in outbox.since(session, 3)] == [4]
