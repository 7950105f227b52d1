"""The push tokens in memory, against what the database knows."""

from __future__ import annotations

from control.domain.push import Purpose, PushToken
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
    assert book.of(ALICE, Purpose.CALL) == (token("a2"),)


def test_only_voip_tokens_wake_for_a_call() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1", "alert")], NOW)
    assert book.of(ALICE, Purpose.CALL) == ()


def test_an_older_state_of_the_database_does_not_undo_what_is_newer_here() -> None:
    book = TokenBook()
    book.load({ALICE: [token("old")], "bob": [token("b1")]}, complete=True)
    change = book.put(ALICE, [token("new")], NOW)
    dropped = book.drop("bob", token("b1"))
    book.load({ALICE: [token("old")], "bob": [token("b1")]}, complete=True)
    assert book.of(ALICE, Purpose.CALL) == (token("new"),)
    assert book.of("bob", Purpose.CALL) == ()
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
    assert book.of(ALICE, Purpose.CALL) == (token("a2"),)


def test_p7_no_token_shows_in_a_repr() -> None:
    assert "s3cret" not in repr(token("s3cret"))


def test_news_of_some_devices_says_nothing_of_the_others() -> None:
    book = TokenBook()
    book.load({ALICE: [token("a1")], "bob": [token("b1")]}, complete=True)
    book.load({ALICE: []}, complete=False)
    assert book.of(ALICE, Purpose.CALL) == ()
    assert book.of("bob", Purpose.CALL) == (token("b1"),)


def test_p2_a_token_brought_again_after_it_was_known_dead_stays() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1")], NOW)
    assert book.drop(ALICE, token("a1"), NOW - 1) == 0
    assert book.of(ALICE, Purpose.CALL) == (token("a1"),)
    assert book.drop(ALICE, token("a1"), NOW + 1) != 0


def test_p7_a_token_brought_again_and_again_is_written_once_a_minute() -> None:
    book = TokenBook()
    written = [book.put(ALICE, [token("a1")], NOW + second) != 0 for second in range(0, 121, 20)]
    assert written == [True, False, False, True, False, False, True]


def test_p7_a_token_that_another_device_brings_is_that_ones_alone() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1"), token("a2", "alert")], NOW)
    change = book.put("bob", [token("a1")], NOW + 1)
    assert change != 0
    assert book.of(ALICE, Purpose.CALL) == ()
    assert book.of(ALICE, Purpose.MESSAGE) == (token("a2", "alert"),)
    assert book.of("bob", Purpose.CALL) == (token("a1"),)
    # The database does not know it yet, of neither.
    book.load({ALICE: [token("a1")]}, complete=True)
    assert book.of(ALICE, Purpose.CALL) == ()
    book.saved("bob", change)
    book.load({ALICE: [token("a3")]}, complete=True)
    assert book.of(ALICE, Purpose.CALL) == (token("a3"),)
    assert book.of("bob", Purpose.CALL) == ()


def test_p2_a_quarantined_token_is_kept_and_not_used() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1")], NOW)
    assert book.quarantine(ALICE, token("a1"), NOW) != 0
    assert book.quarantine(ALICE, token("a1"), NOW) == 0
    assert book.of(ALICE, Purpose.CALL) == ()
    assert len(book) == 1
    assert book.drop(ALICE, token("a1")) != 0  # whoever holds it as it was before means the same one


def test_p2_a_corrected_environment_survives_the_next_register() -> None:
    book = TokenBook()
    book.put(ALICE, [token("a1")], NOW)
    assert book.correct_environment(ALICE, token("a1"), "sandbox") != 0
    assert book.correct_environment(ALICE, token("a1"), "sandbox") == 0
    book.put(ALICE, [token("a1")], NOW + 1)
    assert [t.environment for t in book.of(ALICE, Purpose.CALL)] == ["sandbox"]


def test_p2_a_token_that_is_not_there_can_be_neither_quarantined_nor_corrected() -> None:
    book = TokenBook()
    assert book.quarantine(ALICE, token("a1"), NOW) == 0
    assert book.correct_environment(ALICE, token("a1"), "sandbox") == 0


def test_p2_what_the_database_says_does_not_make_a_token_older_than_it_is() -> None:
    book = TokenBook()
    change = book.put(ALICE, [token("a1")], NOW)
    book.put(ALICE, [token("a1")], NOW + 30)  # not written: it is the same
    book.saved(ALICE, change)
    book.load({ALICE: [token("a1")]}, complete=True)
    assert book.drop(ALICE, token("a1"), NOW + 20) == 0
