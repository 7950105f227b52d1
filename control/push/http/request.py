"""One push as an operator's own pusher gets it: JSON, signed as Standard Webhooks wants it."""

from __future__ import annotations

import binascii
import json
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from control.domain.push import PushNotice, PushToken
from control.push.errors import PushCredentialsError

MAX_CALLER = 200  # characters


def read_secret(path: Path, setting: str) -> Webhook:
    """What signs, from a file that holds ``whsec_`` and base64. Raises PushCredentialsError naming ``setting``."""
    how = 'make one with: echo "whsec_$(openssl rand -base64 32)"'
    try:
        return Webhook(path.read_text("ascii").strip())
    except OSError as error:
        raise PushCredentialsError(f"{setting} {path}: {error.strerror}; {how}") from None
    except (ValueError, binascii.Error, EmptyWebhookSecretError):
        raise PushCredentialsError(
            f"{setting} {path} holds no webhook secret (whsec_ and base64); {how}"
        ) from None


def body(token: PushToken, notice: PushNotice) -> str:
    """What the pusher gets. ``deadline`` is UNIX time in seconds: after it the push makes no sense any more."""
    content: dict[str, str | float] = {
        "type": notice.purpose.value,
        "token": token.token,
        "app": token.app,
        "kind": token.kind,
        "call": notice.call,
        "wake": notice.wake,
        "deadline": notice.deadline,
    }
    if notice.caller is not None:
        content["caller"] = notice.caller[:MAX_CALLER]
    return json.dumps(content, separators=(",", ":"))


def headers(secret: Webhook, token: PushToken, notice: PushNotice, text: str, now: float) -> dict[str, str]:
    """The id is that of the push, whatever attempt this is: a pusher that has it already need not push twice."""
    push_id = f"{notice.wake}.{notice.purpose.value}.{token.fingerprint}"
    at = datetime.fromtimestamp(int(now), UTC)
    return {
        "Content-Type": "application/json",
        "webhook-id": push_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": secret.sign(push_id, at, text),
    }
