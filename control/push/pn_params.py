"""RFC 8599 parameters of a Contact URI, as real apps send them, to push tokens that can wake for a call."""

from __future__ import annotations

import re

from control.domain.push import APNS, FCM, PRODUCTION, SANDBOX, VOIP, PushToken
from control.push.errors import PnParamsError

REMOTE = "remote"  # APNs' service for messages; it cannot ring a sleeping phone

_ENVIRONMENTS = {"apns": PRODUCTION, "apns.dev": SANDBOX}
_MISTAKEN = {
    "firebase": "fcm",
    "android": "fcm",
    "google": "fcm",
    "gcm": "fcm",
    "apple": "apns",
    "ios": "apns",
    "apns.sandbox": "apns.dev",
}
_TEAM = re.compile(r"[A-Z0-9]+")
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*")
_APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{1,512}")
_FCM_TOKEN = re.compile(r"[A-Za-z0-9_:.=%~+/\-]{1,4096}")


def parse(provider: str, param: str, prid: str) -> list[PushToken]:
    """The push tokens a REGISTER brings; none when it has no pn-* at all.

    Arguments are the unescaped values of ``pn-provider``, ``pn-param`` and ``pn-prid``, empty when absent.
    Raises PnParamsError, whose text tells the app's maker what to send instead; the answer is 555 (RFC 8599).
    """
    if not (provider or param or prid):
        return []
    name = provider.lower()
    if name in _ENVIRONMENTS:
        return [_apns(_ENVIRONMENTS[name], param, prid)]
    if name == FCM:
        return [_fcm(param, prid)]
    if name in _MISTAKEN:
        raise PnParamsError("pn-provider", f"{_shown(provider)} is not registered; send {_MISTAKEN[name]}")
    if not provider:
        raise PnParamsError("pn-provider", "missing; send apns, apns.dev or fcm")
    raise PnParamsError("pn-provider", f"{_shown(provider)} is not supported; send apns, apns.dev or fcm")


def _apns(environment: str, param: str, prid: str) -> PushToken:
    """RFC 8599 §10: pn-param is TEAM.topic, and the VoIP service's topic ends in ``.voip``.

    Apps with two services send ``TEAM.bundle.voip&remote`` and ``T1:remote&T2:voip``.
    """
    team, _, rest = param.partition(".")
    bundle, _, services = rest.rpartition(".")
    if not set(services.split("&")) <= {VOIP, REMOTE}:
        bundle, services = rest, REMOTE
    if not _TEAM.fullmatch(team) or not _TOPIC.fullmatch(bundle):
        raise PnParamsError("pn-param", f"{_shown(param)} is not TEAMID.bundle.id.voip")
    if VOIP not in services.split("&"):
        raise PnParamsError("pn-param", f"{_shown(param)}: only a .voip topic can wake an app for a call")
    return PushToken(APNS, f"{bundle}.voip", environment, _voip_token(services, prid))


def _voip_token(services: str, prid: str) -> str:
    tokens: dict[str, str] = {}
    for part in prid.split("&"):
        token, colon, service = part.partition(":")
        if not colon:
            service = services if "&" not in services else ""
        if not _APNS_TOKEN.fullmatch(token):
            raise PnParamsError(
                "pn-prid", "an APNs token is hexadecimal: TOKEN, TOKEN:voip or T1:remote&T2:voip"
            )
        tokens[service] = token
    if VOIP not in tokens:
        raise PnParamsError("pn-prid", "says not which token is for VoIP; send TOKEN:voip")
    return tokens[VOIP]


def _fcm(param: str, prid: str) -> PushToken:
    """The FCM token is taken as it is: it holds ``:``, ``-`` and ``_``, and has no promised length."""
    if not param or not re.fullmatch(r"[A-Za-z0-9\-_.]{1,128}", param):
        raise PnParamsError("pn-param", "must be the project number of the app's Firebase project")
    if not _FCM_TOKEN.fullmatch(prid):
        raise PnParamsError("pn-prid", "must be the app's FCM registration token")
    return PushToken(FCM, param, PRODUCTION, prid)


def _shown(value: str) -> str:
    """What a stranger sent, fit for a log: short, printable."""
    return repr(value[:60])
