"""What a Contact says of push (RFC 8599), as real apps say it: the tokens it brings, or why they cannot be used. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kemi import contact
from kemi.wire import Token

APNS = "apns"
APNS_SANDBOX = "apns.dev"
FCM = "fcm"
WEBPUSH = "webpush"

VOIP = "voip"  # APNs' service for calls …
REMOTE = "remote"  # … and the one for messages: it cannot ring a sleeping phone
ALERT = "alert"  # what tokens of that service are called here

NOT_SUPPORTED = "Push Notification Service Not Supported"  # RFC 8599, 8.1: 555
CONTACT_MAX = 2048  # bytes of a Contact URI; as kamailio.cfg has it (registrar: contact_max_size)
CANNOT_RING = (
    "its push token is for messages alone: a .voip topic in pn-param is what wakes an app for a call"
)

_MISTAKEN = {
    "firebase": FCM,
    "android": FCM,
    "google": FCM,
    "gcm": FCM,
    "apple": APNS,
    "ios": APNS,
    "apns.sandbox": APNS_SANDBOX,
}
# Before RFC 8599: pn-type, app-id (with .prod or .dev at its end), pn-tok.
_LEGACY = {"apple": APNS, "google": FCM, "firebase": FCM}

_TEAM = re.compile(r"[A-Z0-9]+")
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,254}")
_APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{1,512}")
_PROJECT = re.compile(r"[A-Za-z0-9\-_.]{1,128}")
_FCM_TOKEN = re.compile(r"[A-Za-z0-9_:.=%~+/\-]{1,4096}")
_OPAQUE = re.compile(r"[!-~]{1,4096}")
_QUERY = ("pn-prid", "pn-param")


# Compared by identity, as there is one in a process: what is read of a Contact is looked up by it with each REGISTER.
@dataclass(frozen=True, eq=False)
class Offer:
    """What this installation can push by: names as in pn-provider; ``vapid`` is its public key for Web Push (RFC 8292)."""

    providers: tuple[str, ...] = ()
    vapid: str = ""


@dataclass(frozen=True)
class Push:
    """What a REGISTER brings; nothing at all is no push. ``provider`` as in pn-provider, ``note`` for its maker.

    ``query``: it asks what there is, of ``provider`` or of all (RFC 8599, 4.1.5).
    """

    provider: str = ""
    tokens: tuple[Token, ...] = ()
    query: bool = False
    note: str = ""


class Refusal(ValueError):  # noqa: N818  an answer, not a mistake of ours
    """The push parameters cannot be used: the status to answer, its phrase, and what to send instead, without the token."""

    def __init__(self, code: int, phrase: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code
        self.phrase = phrase
        self.explanation = explanation


NOTHING = Push()


def of_contact(header: str, offer: Offer) -> Push:
    """Read the body of a Contact header. Raises Refusal."""
    bound = contact.parse(header)
    if len(bound.uri) > CONTACT_MAX or len(bound.uri.encode()) > CONTACT_MAX:
        explanation = f"the Contact URI may have {CONTACT_MAX} bytes; give a longer token by the API"
        raise Refusal(400, "Contact Too Long", explanation)
    return read(bound.parameters, offer)


def read(parameters: Mapping[str, str], offer: Offer) -> Push:
    """Read the unescaped parameters of a Contact URI, by names in lower case. Raises Refusal."""
    if "pn-provider" in parameters:
        if not parameters["pn-provider"] and not any(parameters.get(name) for name in _QUERY):
            return Push(query=True)
        name = parameters["pn-provider"].lower()
        if name in offer.providers and "pn-prid" not in parameters:
            return Push(name, query=True, note=f"it asks for pushes by {name} and brings no pn-prid")
        param, prid = parameters.get("pn-param", ""), parameters.get("pn-prid", "")
    elif "pn-tok" in parameters or "pn-type" in parameters:
        name, param = _legacy(parameters)
        prid = parameters.get("pn-tok", "")
    elif any(parameters.get(name) for name in _QUERY):
        raise _bad("pn-provider", f"it is missing; send {_names(offer.providers)}")
    else:
        return NOTHING
    if name not in offer.providers:
        raise Refusal(555, NOT_SUPPORTED, _unsupported(name, offer))
    tokens = _tokens(name, param, prid, offer)
    rings = any(token.kind == VOIP for token in tokens)
    return Push(name, tuple(tokens), note="" if rings else CANNOT_RING)


def feature_caps(push: Push, offer: Offer, refresh_before: int = 0) -> list[str]:
    """The bodies of the Feature-Caps headers (RFC 6809; RFC 8599, 5.4) of the 200: what is, or with a query could be, pushed by.

    ``refresh_before``: the device refreshes by itself, at least this many seconds before its binding runs out (RFC 8599, 4.1.4).
    Its reference for requests within dialogs (6.2.1) is added by whoever knows it.
    """
    names = (push.provider,) if push.provider else offer.providers if push.query else ()
    bodies = [f'*;+sip.pns="{name}"' for name in names]
    if WEBPUSH in names and offer.vapid:
        bodies[names.index(WEBPUSH)] += f';+sip.vapid="{offer.vapid}"'
    if refresh_before and bodies:
        bodies[0] += f';+sip.pnsreg="{refresh_before}"'
    return bodies


def _tokens(name: str, param: str, prid: str, offer: Offer) -> list[Token]:
    if name in (APNS, APNS_SANDBOX):
        return _apns("sandbox" if name == APNS_SANDBOX else "production", param, prid)
    if name == FCM:
        return [_fcm(param, prid)]
    if name == WEBPUSH:
        return [_webpush(param, prid, offer.vapid)]
    if param and not _PROJECT.fullmatch(param):
        raise _bad("pn-param", "it is at most 128 letters, digits, dots, dashes and underscores")
    if not _OPAQUE.fullmatch(prid):
        raise _bad("pn-prid", "it must hold the token: at most 4,096 characters of ASCII, no spaces")
    return [Token(name, param, "production", VOIP, prid)]


def _apns(environment: str, param: str, prid: str) -> list[Token]:
    """RFC 8599, 10: pn-param is TEAM.topic; the VoIP service's topic ends in ``.voip``.

    Apps with two services send ``TEAM.bundle.voip&remote`` and ``T1:remote&T2:voip``.
    """
    team, _, rest = param.partition(".")
    bundle, _, last = rest.rpartition(".")
    services = last.split("&")
    if not set(services) <= {VOIP, REMOTE}:
        bundle, services = rest, [REMOTE]
    if not _TEAM.fullmatch(team) or not _TOPIC.fullmatch(bundle):
        raise _bad("pn-param", f"{_shown(param)} is not TEAMID.bundle.id.voip")
    return _apns_tokens(bundle, environment, services, prid)


def _apns_tokens(bundle: str, environment: str, services: list[str], prid: str) -> list[Token]:
    found: dict[str, str] = {}
    for part in prid.split("&"):
        token, _, service = part.partition(":")
        if not service and len(services) == 1:
            service = services[0]
        if not _APNS_TOKEN.fullmatch(token):
            raise _bad("pn-prid", "an APNs token is hexadecimal: TOKEN, TOKEN:voip or T1:remote&T2:voip")
        found[service] = token
    tokens = [
        Token(APNS, f"{bundle}.voip" if service == VOIP else bundle, environment, kind, found[service])
        for service, kind in ((VOIP, VOIP), (REMOTE, ALERT))
        if service in services and service in found
    ]
    if not tokens or (VOIP in services and VOIP not in found):
        raise _bad("pn-prid", f"it says not which token is for {services[0]}; send TOKEN:{services[0]}")
    return tokens


def _fcm(param: str, prid: str) -> Token:
    """RFC 8599, 11. The FCM token is taken as it is: it holds ``:``, ``-`` and ``_``, and has no promised length."""
    if not _PROJECT.fullmatch(param):
        raise _bad("pn-param", "it must be the number or the id of the app's Firebase project")
    if not _FCM_TOKEN.fullmatch(prid):
        raise _bad("pn-prid", "it must be the app's FCM registration token, of 4,096 characters at most")
    return Token(FCM, param, "production", VOIP, prid)


def _webpush(param: str, prid: str, vapid: str) -> Token:
    """pn-prid is the browser's PushSubscription as JSON, as a push without its keys could carry nothing (RFC 8291)."""
    if vapid and param not in ("", vapid):
        raise _bad("pn-param", "it is not this server's VAPID key: subscribe with the one in +sip.vapid")
    try:
        raw = json.loads(prid)
        found = {"endpoint": raw["endpoint"], "keys": {k: raw["keys"][k] for k in ("p256dh", "auth")}}
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _bad("pn-prid", "it must be the browser's PushSubscription as JSON, percent-encoded") from None
    text = json.dumps(found, separators=(",", ":"))
    if len(text) > 4096:
        raise _bad("pn-prid", "a PushSubscription has 4,096 characters at most")
    return Token(WEBPUSH, param or vapid, "production", VOIP, text)


def _legacy(parameters: Mapping[str, str]) -> tuple[str, str]:
    """pn-type and app-id, as pn-provider and pn-param of today."""
    kind, app = parameters.get("pn-type", "").lower(), parameters.get("app-id", "")
    name = _LEGACY.get(kind)
    if name is None:
        raise Refusal(555, NOT_SUPPORTED, f"pn-type {_shown(kind)} is not known; send pn-provider (RFC 8599)")
    if name == FCM:
        return FCM, app
    bundle, _, build = app.rpartition(".")
    if build not in ("prod", "dev"):
        raise _bad("app-id", f"{_shown(app)} does not end in .prod or .dev")
    # There was no team in it then; our own key's team is what counts.
    return (APNS if build == "prod" else APNS_SANDBOX), f"LEGACY.{bundle}"


def _unsupported(name: str, offer: Offer) -> str:
    better = _MISTAKEN.get(name)
    if better in offer.providers:
        return f"pn-provider {_shown(name)} is not registered; send {better}"
    return f"pn-provider {_shown(name)} is not supported; send {_names(offer.providers)}"


def _names(names: Iterable[str]) -> str:
    *most, last = tuple(names) or ("none: this server has no push provider set up",)
    return f"{', '.join(most)} or {last}" if most else last


def _bad(parameter: str, explanation: str) -> Refusal:
    return Refusal(400, f"Bad {parameter}", f"{parameter}: {explanation}")


def _shown(value: str) -> str:
    """What a stranger sent, fit for a log and for the quotes of a header: short, plain ASCII."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in value[:60]) or "(empty)"
