"""Who a phone is: its address of record and its credential."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Account:
    """One SIP credential. ``auth_user`` is the digest username, the user itself unless given."""

    user: str
    password: str = field(repr=False)
    domain: str
    display_name: str = ""
    auth_user: str = ""

    @property
    def digest_user(self) -> str:
        """The username in digest answers."""
        return self.auth_user or self.user

    @property
    def uri(self) -> str:
        """The address of record."""
        return f"sip:{self.user}@{self.domain}"

    @property
    def address(self) -> str:
        """The address of record with the display name, for From and To."""
        if not self.display_name:
            return f"<{self.uri}>"
        escaped = self.display_name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{self.uri}>'
