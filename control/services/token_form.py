"""Push tokens as an app gives them to the API, checked field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from control.domain.errors import InvalidFieldError
from control.domain.push import ALERT, APNS, PRODUCTION, SANDBOX, VOIP, WEBPUSH, PushToken
from control.push.webpush import subscription

MOST = 10  # tokens of one device
LONGEST = 4096  # characters

_FIELDS = ("provider", "app", "environment", "kind", "token")
_CHOICES = {"environment": (PRODUCTION, SANDBOX), "kind": (VOIP, ALERT)}
_APP = re.compile(r"[A-Za-z0-9._\-]{1,255}")
_HEX = re.compile(r"[0-9A-Fa-f]{1,512}")
_PLAIN = re.compile(r"[!-~]+")


def read(body: Any, providers: Collection[str], vapid: str = "") -> list[PushToken]:
    """``{"tokens": [{"provider", "app", "environment", "kind", "token"}, …]}`` to the tokens of a device; may be empty.

    ``providers`` are those that are set up here, ``vapid`` our key for Web Push. Raises InvalidFieldError, which names the
    field and does not show the token.
    """
    items = body.get("tokens") if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise InvalidFieldError("tokens", 'send {"tokens": […]} as application/json')
    if len(items) > MOST:
        raise InvalidFieldError("tokens", f"a device has at most {MOST}, not {len(items)}")
    found: dict[tuple[str, str, str], PushToken] = {}
    for number, item in enumerate(items):
        token = _token(f"tokens[{number}]", item, providers, vapid)
        if found.setdefault((token.provider, token.kind, token.app), token) is not token:
            raise InvalidFieldError(f"tokens[{number}]", "one before it has the same provider, kind and app")
    return list(found.values())


def _token(name: str, item: Any, providers: Collection[str], vapid: str) -> PushToken:
    if not isinstance(item, dict):
        raise InvalidFieldError(name, "must be an object")
    for key in item.keys() - set(_FIELDS):
        raise InvalidFieldError(f"{name}.{str(key)[:40]}", f"is not known; there are {', '.join(_FIELDS)}")
    defaults = {
        "environment": PRODUCTION,
        "kind": VOIP,
        "app": vapid if item.get("provider") == WEBPUSH else "",
    }
    values = defaults | item
    for key in _FIELDS:
        if not isinstance(values.get(key), str):
            raise InvalidFieldError(f"{name}.{key}", "must be a text")
    for key, choices in (("provider", tuple(providers)), *_CHOICES.items()):
        if values[key] not in choices:
            raise InvalidFieldError(f"{name}.{key}", f"must be {_one_of(choices)}")
    token = PushToken(
        values["provider"], values["app"], values["environment"], values["token"], values["kind"]
    )
    if token.provider == WEBPUSH:
        return _subscription(name, token, vapid)
    _check(name, token)
    return token


def _check(name: str, token: PushToken) -> None:
    if len(token.token) > LONGEST:
        raise InvalidFieldError(
            f"{name}.token", f"is {len(token.token)} characters long; at most {LONGEST} are possible"
        )
    if token.provider == APNS:
        if not _HEX.fullmatch(token.token):
            raise InvalidFieldError(f"{name}.token", "an APNs token is hexadecimal")
        if token.app.endswith(".voip") != (token.kind == VOIP):
            raise InvalidFieldError(f"{name}.app", "the topic ends in .voip for kind voip, and only then")
    if not _PLAIN.fullmatch(token.token):
        raise InvalidFieldError(f"{name}.token", "must be plain ASCII without spaces, and not empty")
    if not _APP.fullmatch(token.app):
        raise InvalidFieldError(
            f"{name}.app",
            "must be the topic (APNs) or the project (FCM): letters, digits, dots, dashes, underscores",
        )


def _subscription(name: str, token: PushToken, vapid: str) -> PushToken:
    if token.app != vapid:
        raise InvalidFieldError(f"{name}.app", "is not this server's VAPID key; subscribe with that one")
    try:
        subscription.parse(token.token)
    except subscription.SubscriptionError as error:
        raise InvalidFieldError(f"{name}.token", str(error)) from None
    raw = json.loads(token.token)
    kept = {"endpoint": raw["endpoint"], "keys": {key: raw["keys"][key] for key in ("p256dh", "auth")}}
    return PushToken(
        WEBPUSH, token.app, token.environment, json.dumps(kept, separators=(",", ":")), token.kind
    )


def _one_of(choices: Collection[str]) -> str:
    return " or ".join(choices) if choices else "that of a push provider, and none is set up here"
