"""The table ``[push.fcm]`` and its service accounts, ``[[push.fcm.accounts]]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FcmAccount:
    """A service account. ``project_number``: of the project whose apps it is for, as they send it in ``pn-param``.

    The project's id does as well, and need not be given: the file names it. Empty for the only account: every app.
    """

    service_account_file: Path
    project_number: str = ""


@dataclass(frozen=True)
class FcmSettings:
    """Google's provider. ``base_url`` empty: Google's own."""

    accounts: tuple[FcmAccount, ...]
    base_url: str = ""
    ca_file: Path | None = None  # None: the system's certificate authorities

    def __post_init__(self) -> None:
        """Raises ValueError when no account is given, or it is not said whose apps one is for."""
        if not self.accounts:
            raise ValueError("accounts is empty: write [[push.fcm.accounts]] with service_account_file")
        numbers = [account.project_number for account in self.accounts]
        for number, project in enumerate(numbers, 1):
            if len(numbers) > 1 and not project:
                raise ValueError(
                    f"accounts[{number}].project_number is missing: with several accounts each needs its own "
                    "(Firebase console, Project settings, Cloud Messaging: Sender ID)"
                )
            if project and numbers.index(project) != number - 1:
                raise ValueError(f"accounts[{number}].project_number {project} is that of another account")
