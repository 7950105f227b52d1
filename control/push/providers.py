"""The registry of push providers: a new one is a folder beside apns/ and fcm/, and a line here."""

from __future__ import annotations

import time

from control.push.apns.provider import ApnsProvider
from control.push.fcm.provider import FcmProvider
from control.push.port import Clock, Provider
from control.settings import PushSettings


def configured(settings: PushSettings, clock: Clock = time.time) -> list[Provider]:
    """The providers this installation has keys for, not yet started."""
    providers: list[Provider] = []
    if settings.apns is not None:
        providers.append(ApnsProvider(settings.apns, clock))
    if settings.fcm is not None:
        providers.append(FcmProvider(settings.fcm, clock))
    return providers
