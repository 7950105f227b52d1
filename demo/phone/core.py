"""The user agent core of one awake phone: its account, its endpoint, its calls and tasks (RFC 3261 §5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sipmessage import Request, Response

from demo.phone.account import Account
from demo.phone.changes import Changes
from demo.phone.client_transaction import ClientTransaction, OnResponse
from demo.phone.endpoint import Endpoint
from demo.phone.exchange import Draft, exchange

_log = logging.getLogger(__name__)


class Core:
    """What calls and registrations of one phone share. It lives from wake to sleep."""

    def __init__(self, account: Account, endpoint: Endpoint, changes: Changes, local: str) -> None:
        self.account, self.endpoint, self.changes, self.local = account, endpoint, changes, local
        self.purr = ""  # of the registrar's, to be put into the Contact of calls (RFC 8599 §6.1.1)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def contact_uri(self) -> str:
        """The URI this phone can be reached at for as long as it is awake."""
        return f"sip:{self.account.user}@{self.endpoint.transport.contact}"

    @property
    def contact(self) -> str:
        """The Contact of requests and responses within calls; of the push parameters the PURR alone is for them."""
        return f"<{self.contact_uri};pn-purr={self.purr}>" if self.purr else f"<{self.contact_uri}>"

    async def exchange(
        self,
        draft: Draft,
        *,
        on_sent: Callable[[ClientTransaction], None] | None = None,
        on_provisional: OnResponse | None = None,
        on_success: OnResponse | None = None,
    ) -> Response:
        """Send a request as this account and return its final response."""
        return await exchange(
            self.endpoint,
            self.account,
            draft,
            on_sent=on_sent,
            on_provisional=on_provisional,
            on_success=on_success,
        )

    def acknowledge(self, draft: Draft, invite: Request) -> None:
        """Send the ACK of a 2xx to ``invite``, with the same CSeq number and credentials (RFC 3261 §13.2.2.4)."""
        number = int(invite.headers["CSeq"].split()[0])
        credentials = [
            (name, value)
            for name in ("Authorization", "Proxy-Authorization")
            for value in invite.headers.getlist(name)
        ]
        self.endpoint.send_ack(draft.render(self.endpoint.new_via(), number, credentials))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` until it ends or the phone sleeps; a failure is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """End every task."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("%s: a task failed", self.account.uri, exc_info=task.exception())
