"""A mailbox in words."""

from __future__ import annotations

import pytest

from control.domain.mailbox import Mailbox


@pytest.mark.parametrize(
    ("waiting", "new", "old", "words"),
    [
        (True, 1, 0, "1 new voice message"),
        (True, 2, 8, "2 new voice messages, 8 old"),
        (False, 0, 0, "no new voice messages"),
        (False, 0, 3, "no new voice messages, 3 old"),
        (True, 0, 0, "messages are waiting"),
    ],
)
def test_a_mailbox_is_told_in_words(waiting: bool, new: int, old: int, words: str) -> None:
    assert Mailbox("office", waiting, new, old, 0.0).words == words
