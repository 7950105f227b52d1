"""What a device may not tell a PBX: who it claims to be, what only we may say, and the proof of its own password."""

from __future__ import annotations

from kemi import ksr

_CLAIMS = "P-Asserted-Identity|P-Preferred-Identity|Remote-Party-ID|Diversion|History-Info|Identity|y|X-[^:]*|Privacy-Id"


def remove_claims() -> None:
    """Remove the headers by which a device could claim to be somebody, however they are spelled or folded."""
    ksr.remove_headers_like(_CLAIMS)


def remove_credentials() -> None:
    """Remove all answers to challenges: those to ours are for us, and those to a PBX are not a device's to give."""
    ksr.remove_header("Authorization")
    ksr.remove_header("Proxy-Authorization")
