"""The table ``[push.apns]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ApnsSettings:
    """Apple's provider: signing key (.p8) and ids. ``server`` empty: Apple's, by each token's environment."""

    key_file: Path
    key_id: str
    team_id: str
    server: str = ""
    port: int = 443
    ca_file: Path | None = None  # None: the system's certificate authorities
