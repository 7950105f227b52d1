"""Debian's Linphone as somebody's app: it says by its own means, in its REGISTER, how it is pushed to (RFC 8599)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType

from demo.stack import DemoDevice, Stack

_CONFIG = """\
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
default_proxy=0

[misc]
log_collection_upload_server_url=

[net]
push_notification=1

[proxy_0]
reg_identity=sip:{device.id}@{device.domain}
reg_proxy=<sip:{server}:{port};transport=tcp>
reg_route=<sip:{server}:{port};transport=tcp;lr>
reg_expires=600
reg_sendregister=1
push_notification_allowed=1
push_parameters=pn-prid={device.token};pn-provider={device.pn_provider};pn-param={device.pn_param};pn-silent=1;pn-timeout=0

[auth_info_0]
username={device.id}
passwd={device.password}
realm={device.domain}
domain={device.domain}
"""


class Linphone:
    """One installation of it, in a folder of its own; it runs between ``start`` and ``stop``, and answers each call."""

    def __init__(self, folder: Path, stack: Stack, device: DemoDevice) -> None:
        self.log = folder / "linphone.log"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        server, port = stack.sip_address("tcp")
        (folder / "linphonerc").write_text(
            _CONFIG.format(device=device, server=server, port=port), encoding="utf-8"
        )
        (folder / ".local/share/linphone").mkdir(parents=True)

    async def start(self) -> None:
        """Start it; it registers at once."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("linphone-daemon", "--config", str(self._folder / "linphonerc"), "--auto-answer"),
                stdin=asyncio.subprocess.PIPE,  # it ends when nobody can tell it anything any more
                stdout=log,
                stderr=log,
                env=os.environ | {"HOME": str(self._folder)},
            )

    async def kill(self) -> None:
        """End it as a mobile system does: nothing is said to anybody."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def __aenter__(self) -> Linphone:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
