"""What can go wrong while pushing. No error but the first leaves this package: the rest end in a verdict.

PushError
├── PushCredentialsError     the key or the service account file cannot be used; raised by ``start``
└── NoAnswerError            the provider has not answered; ``reason`` says why
    ├── ConnectFailedError   no connection, no access token: nothing was sent
    ├── UnansweredError      sent, then the stream or the connection broke: perhaps processed
    └── NotProcessedError    the provider says that it has not looked at it: safe to send again at once
"""

from __future__ import annotations


class PushError(Exception):
    """Something about a push went wrong. The text is fit to be shown: it holds no token and no key."""

    id = "push"


class PushCredentialsError(PushError):
    """A provider's key or service account cannot be used. The text names the file and what it should hold."""

    id = "push-credentials"


class NoAnswerError(PushError):
    """The provider has not answered. ``reason`` is one word for the journal, the text says more."""

    id = "push-no-answer"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ConnectFailedError(NoAnswerError):
    """There is no way to the provider now; nothing was sent."""

    id = "push-connect-failed"


class UnansweredError(NoAnswerError):
    """The push was sent, but the stream or its connection broke before an answer came."""

    id = "push-unanswered"


class NotProcessedError(NoAnswerError):
    """The provider says that it has not looked at the push (GOAWAY, REFUSED_STREAM; RFC 9113 §8.7)."""

    id = "push-not-processed"
