"""The tables ``[push.http.<name>]``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class PusherSettings:
    """One pusher; apps name it in ``pn-provider``. ``secret_file``: what requests are signed with, ``whsec_…``."""

    url: str
    secret_file: Path
    ca_file: Path | None = None  # None: the system's certificate authorities

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.url)
            host, _ = url.hostname or "", url.port
        except ValueError:
            host = ""
        if not host or url.scheme not in ("http", "https") or "@" in url.netloc:
            raise ValueError("url must be an https URL without a user or a password in it")
        if url.scheme == "http" and not _is_loopback(host):
            raise ValueError(f"url {self.url}: http is for this host alone (127.0.0.1); use https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
