"""The table ``[push.log]``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LogSettings:
    """For development: nothing is sent, and each push counts as delivered. ``development`` has to be true."""

    development: bool

    def __post_init__(self) -> None:
        if not self.development:
            raise ValueError(
                "development must be true: this provider wakes no phone. Remove the table if calls should arrive"
            )
