"""The registry of push providers: a new one is a folder beside apns/ and fcm/, and a line in ``PROVIDERS``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from control.push.apns.provider import ApnsProvider
from control.push.apns.settings import ApnsSettings
from control.push.fcm.provider import FcmProvider
from control.push.fcm.settings import FcmSettings
from control.push.port import Clock, Provider


@dataclass(frozen=True)
class Registered:
    """One provider: the dataclass of its table ``[push.<name>]``, and what makes it from that and a clock."""

    settings: type
    make: Callable[[Any, Clock], Provider]


PROVIDERS: Mapping[str, Registered] = {
    ApnsProvider.name: Registered(ApnsSettings, ApnsProvider),
    FcmProvider.name: Registered(FcmSettings, FcmProvider),
}


def configured(settings: Mapping[str, Any], clock: Clock = time.time) -> list[Provider]:
    """The providers this installation has a table for, by name, not yet started."""
    return [PROVIDERS[name].make(table, clock) for name, table in settings.items()]
