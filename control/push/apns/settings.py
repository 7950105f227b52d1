"""The table ``[push.apns]`` and its keys, ``[[push.apns.keys]]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True)
class ApnsKey:
    """A team's signing key (.p8). ``topics``: bundle ids or patterns of them (``org.example.*``); none: every app."""

    key_file: Path
    key_id: str
    team_id: str
    topics: tuple[str, ...] = ()

    def serves(self, bundle: str) -> bool:
        """Whether this key signs for an app, named by its bundle id (without ``.voip``)."""
        return not self.topics or any(fnmatchcase(bundle, each.removesuffix(".voip")) for each in self.topics)


@dataclass(frozen=True)
class ApnsSettings:
    """Apple's provider. ``server`` empty: Apple's, by each token's environment.

    ``sandbox_server``: where tokens of development builds go when ``server`` is given; empty: to ``server``, too.
    """

    keys: tuple[ApnsKey, ...]
    server: str = ""
    port: int = 443
    sandbox_server: str = ""
    sandbox_port: int = 443
    ca_file: Path | None = None  # None: the system's certificate authorities

    def __post_init__(self) -> None:
        """Raises ValueError when no key is given, or one could never be used."""
        if not self.keys:
            raise ValueError("keys is empty: write [[push.apns.keys]] with key_file, key_id and team_id")
        for number, key in enumerate(self.keys[:-1], 1):
            if not key.topics:
                raise ValueError(
                    f"keys[{number}].topics is missing, so the keys after it would never be used: "
                    "say which apps this key is for, or put it last"
                )


def key_for(keys: Sequence[ApnsKey], bundle: str) -> ApnsKey | None:
    """The first key that signs for an app; None if there is none."""
    return next((key for key in keys if key.serves(bundle)), None)
