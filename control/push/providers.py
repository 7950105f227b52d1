"""The registry of push providers: a new one is a folder beside apns/ and fcm/, and a line in ``PROVIDERS``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from control.domain.push import PushTrouble
from control.push.apns.provider import ApnsProvider
from control.push.apns.settings import ApnsSettings
from control.push.fcm.provider import FcmProvider
from control.push.fcm.settings import FcmSettings
from control.push.http.provider import pushers
from control.push.http.settings import PusherSettings
from control.push.log.provider import LogProvider
from control.push.log.settings import LogSettings
from control.push.port import Clock, Provider
from control.push.provider_time import ProviderTime
from control.push.webpush.provider import WebPushProvider
from control.push.webpush.settings import WebPushSettings
from control.push.webpush.vapid import public_key


@dataclass(frozen=True)
class Registered:
    """One provider: the dataclass of its table ``[push.<name>]``, and what makes it from that and a clock.

    If it has several tables, ``[push.<name>.<one>]``: a Mapping of that dataclass, and what makes a list. ``pn_names`` are
    its names in pn-provider (RFC 8599), when it is not its own or those of its tables.
    """

    settings: Any
    make: Callable[[Any, Clock], Provider | list[Provider]]
    pn_names: tuple[str, ...] = ()


PROVIDERS: Mapping[str, Registered] = {
    ApnsProvider.name: Registered(ApnsSettings, ApnsProvider, ("apns", "apns.dev")),
    FcmProvider.name: Registered(FcmSettings, FcmProvider),
    WebPushProvider.name: Registered(WebPushSettings, WebPushProvider),
    "http": Registered(Mapping[str, PusherSettings], pushers),
    LogProvider.name: Registered(LogSettings, LogProvider),
}


def names(settings: Mapping[str, Any]) -> list[str]:
    """The providers there are, by the names that push tokens have them by."""
    return [
        one
        for name, tables in settings.items()
        for one in (tables if isinstance(tables, Mapping) else (name,))
    ]


def vapid_key(settings: Mapping[str, Any]) -> str:
    """The public key that browsers subscribe with, empty without Web Push. Raises PushCredentialsError."""
    webpush = settings.get(WebPushProvider.name)
    return "" if webpush is None else public_key(webpush.key_file)


def pn_names(settings: Mapping[str, Any]) -> list[str]:
    """The providers there are by their names in a REGISTER's pn-provider (RFC 8599)."""
    return [
        one for name, tables in settings.items() for one in PROVIDERS[name].pn_names or names({name: tables})
    ]


def configured(
    settings: Mapping[str, Any],
    clock: Clock = time.time,
    *,
    trouble: Callable[[PushTrouble], None] = lambda _: None,
) -> list[Provider]:
    """The providers this installation has a table for, not yet started. ``trouble`` is told when the clock is wrong."""
    clock = ProviderTime(clock, trouble)
    made: list[Provider] = []
    for name, tables in settings.items():
        one_or_more = PROVIDERS[name].make(tables, clock)
        made += one_or_more if isinstance(one_or_more, list) else [one_or_more]
    return made
