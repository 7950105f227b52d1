"""The table ``[push.fcm]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FcmSettings:
    """Google's provider: the service account file. ``base_url`` empty: Google's own."""

    service_account_file: Path
    base_url: str = ""
    ca_file: Path | None = None  # None: the system's certificate authorities
