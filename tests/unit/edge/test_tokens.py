"""The push tokens in memory, against what the database knows."""

from __future__ import annotations

from control.domain.push import PushToken
from control.edge.tokens import TokenBook

ALICE = "alice-k7f3qd"
NOW = 1_800_000_000.0


def token(text: str, kind: str = "voip") -> PushToken:
    return PushToken("apns", "org.example.phone.voip", "production", text, kind)


def test_a_token_that_has_not_changed_is_no_change() -> None:
    book = TokenBook()
    assert book.put(ALICE, [token("a1")], NOW) != 0
    assert book.put(ALICE, [token("a1")], NOW) == 0


def test_a_dead_token_is_dropped_once() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1"), token("a2")], NOW)
    assert book.drop(ALICE, token("a1")) != 0
    assert book.drop(ALICE, token("a1")) == 0
    assert book.of(ALICE) == (token("a2"),)


def test_only_voip_tokens_wake_for_a_call() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1", "alert")], NOW)
    assert book.of(ALICE) == ()


def test_an_older_state_of_the_database_does_not_undo_what_is_newer_here() -> None:
    book = TokenBook()
    book.load({ALICE: [token("old")], "bob": [token("b1")]}, complete=True)
    change = book.put(ALICE, [token("new")], NOW)
    dropped = book.drop("bob", token("b1"))
    book.load({ALICE: [token("old")], "bob": [token("b1")]}, complete=True)
    assert book.of(ALICE) == (token("new"),)
    assert book.of("bob") == ()
    book.saved(ALICE, change)
    book.saved("bob", dropped)
    book.load({}, complete=True)
    assert len(book) == 0


def test_a_change_made_after_the_one_that_was_saved_still_counts_as_newer() -> None:
    book = TokenBook()
    first = book.put(ALICE, [token("a1")], NOW)
    book.put(ALICE, [token("a2")], NOW)
    book.saved(ALICE, first)
    book.load({ALICE: [token("a1")]}, complete=True)
    assert book.of(ALICE) == (token("a2"),)


def test_p7_no_token_shows_in_a_repr() -> None:
    assert "s3cret" not in repr(token("s3cret"))


def test_news_of_some_devices_says_nothing_of_the_others() -> None:
    book = TokenBook()
    book.load({ALICE: [token("a1")], "bob": [token("b1")]}, complete=True)
    book.load({ALICE: []}, complete=False)
    assert book.of(ALICE) == ()
    assert book.of("bob") == (token("b1"),)


def test_p2_a_token_brought_again_after_it_was_known_dead_stays() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1")], NOW)
    assert book.drop(ALICE, token("a1"), NOW - 1) == 0
    assert book.of(ALICE) == (token("a1"),)
    assert book.drop(ALICE, token("a1"), NOW + 1) != 0


def test_p7_a_token_brought_again_and_again_is_written_once_a_minute() -> None:
    book = TokenBook()
    written = [book.put(ALICE, [token("a1")], NOW + second) != 0 for second in range(0, 121, 20)]
    assert written == [True, False, False, True, False, False, True]
