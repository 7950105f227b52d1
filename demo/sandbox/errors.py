"""Everything the sandbox may refuse.

SandboxError
├── UnknownProviderError   none of ``apns``, ``fcm`` and ``webpush``
├── UnknownTokenError      a device token this sandbox has not issued
├── BadOrderError          an order that no provider could carry out
└── NotStartedError        an address was asked for before ``start()``
"""

from __future__ import annotations


class SandboxError(Exception):
    """Base of this package's errors; ``id`` is stable and may be shown to programs."""

    id = "sandbox"


class UnknownProviderError(SandboxError):
    """The name is none of ``apns``, ``fcm`` and ``webpush``."""

    id = "sandbox.unknown-provider"

    def __init__(self, provider: str) -> None:
        super().__init__(f"no provider {provider!r} here: choose apns, fcm or webpush")


class UnknownTokenError(SandboxError):
    """The device token was not issued by this sandbox, or by another run of it."""

    id = "sandbox.unknown-token"

    def __init__(self, token: str) -> None:
        super().__init__(f"token {token[:8]}… was not issued by this sandbox: install an app to get one")


class BadOrderError(SandboxError):
    """The order names an error or fault that the provider does not have, or contradicts itself."""

    id = "sandbox.bad-order"


class NotStartedError(SandboxError):
    """The sandbox has no address before ``start()``."""

    id = "sandbox.not-started"

    def __init__(self) -> None:
        super().__init__("the sandbox is not running: await start() first")
