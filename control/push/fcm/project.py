"""What belongs to one Firebase project: where to send, and the access token to send with."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from control.domain.push import PushNotice
from control.push import https
from control.push.fcm.access_token import AccessToken, ServiceAccount
from control.push.fcm.message import error_code, message
from control.push.fcm.settings import FcmAccount, FcmSettings
from control.push.provider_time import ProviderTime

BASE_URL = "https://fcm.googleapis.com"


class FcmProject:
    """Sends to the apps of one project."""

    def __init__(
        self,
        named: FcmAccount,
        account: ServiceAccount,
        settings: FcmSettings,
        session: aiohttp.ClientSession,
        clock: ProviderTime,
    ) -> None:
        base_url = (settings.base_url or BASE_URL).rstrip("/")
        self._url = f"{base_url}/v1/projects/{account.project_id}/messages:send"
        self._names = {named.project_number, account.project_id} - {""}
        self._session = session
        self._clock = clock
        self._token = AccessToken(account, clock, settings.ca_file)
        self.id: str = account.project_id
        self.is_only = not named.project_number

    def serves(self, app: str) -> bool:
        """Whether an app is of this project; it names it by number, or by id."""
        return self.is_only or app in self._names

    def start(self) -> asyncio.Task[None]:
        """Fetch a token, and renew it ahead from now on; the task ends with the first fetch."""
        return self._token.start()

    async def close(self) -> None:
        """Renew no more."""
        await self._token.close()

    async def send(self, token: str, notice: PushNotice) -> https.HttpAnswer:
        """Send; once more if the access token was refused. Raises NoAnswerError or TokenRefusedError."""
        access = await self._token.get()
        answer = await self._post(access, token, notice)
        if answer.status == 401 and error_code(answer.body) != "THIRD_PARTY_AUTH_ERROR":
            access = await self._token.replace(access)
            answer = await self._post(access, token, notice)
        return answer

    async def _post(self, access: str, token: str, notice: PushNotice) -> https.HttpAnswer:
        body = json.dumps(message(token, notice, self._clock()), separators=(",", ":"))
        headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json"}
        return await https.post(self._session, self._url, body.encode(), headers)
