"""What a verdict changes in the token book, and what the database is told of it."""

from __future__ import annotations

from dataclasses import replace

from control.domain.push import SANDBOX, Outcome, Purpose, PushToken, Verdict
from control.edge.recorder import TokenCorrected, TokenDied, TokenQuarantined
from control.edge.token_lessons import Lesson, TokenLessons
from control.edge.tokens import TokenBook

ALICE = "alice-k7f3qd"
NOW = 1_800_000_000.0
TOKEN = PushToken("apns", "org.example.phone.voip", "production", "a1")


def taught(*verdicts: Verdict) -> tuple[TokenBook, list[Lesson]]:
    book, lessons = TokenBook(), list[Lesson]()
    book.put(ALICE, [TOKEN], NOW - 60)
    teacher = TokenLessons(book, lessons.append, lambda: NOW)
    for verdict in verdicts:
        teacher.learn(ALICE, TOKEN, verdict)
    return book, lessons


def test_p2_a_dead_token_is_dropped_unless_it_was_brought_after_the_provider_knew() -> None:
    dead = Verdict(Outcome.TOKEN_DEAD, 410, "Unregistered", unregistered_at=NOW - 30)
    book, lessons = taught(dead, dead)
    assert book.of(ALICE, Purpose.CALL) == ()
    assert [(type(lesson), lesson.device) for lesson in lessons] == [(TokenDied, ALICE)]
    book, lessons = taught(replace(dead, unregistered_at=NOW - 90))
    assert book.of(ALICE, Purpose.CALL) == (TOKEN,)
    assert lessons == []


def test_p2_a_token_known_nowhere_is_kept_and_not_used() -> None:
    unknown = Verdict(Outcome.REJECTED, 400, "BadDeviceToken", quarantine=True)
    book, lessons = taught(unknown, unknown)
    assert book.of(ALICE, Purpose.CALL) == ()
    (lesson,) = lessons
    assert isinstance(lesson, TokenQuarantined)
    assert lesson.at == NOW


def test_p2_a_token_found_in_the_other_environment_is_of_that_one_from_now_on() -> None:
    found = Verdict(Outcome.DELIVERED, 200, environment=SANDBOX)
    book, lessons = taught(found, found)
    assert [token.environment for token in book.of(ALICE, Purpose.CALL)] == [SANDBOX]
    (lesson,) = lessons
    assert isinstance(lesson, TokenCorrected)
    assert lesson.environment == SANDBOX


def test_p2_our_own_mistakes_and_silences_change_no_token() -> None:
    verdicts = [
        Verdict(Outcome.DELIVERED, 200),
        Verdict(Outcome.MISCONFIGURED, 400, "TopicDisallowed"),
        Verdict(Outcome.REJECTED, 400, "BadDeviceToken"),
        Verdict(Outcome.RETRY, 503, environment=SANDBOX),
    ]
    book, lessons = taught(*verdicts)
    assert book.of(ALICE, Purpose.CALL) == (TOKEN,)
    assert lessons == []
