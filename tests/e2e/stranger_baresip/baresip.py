"""Debian's baresip as somebody's app: a SIP client that we did not write, with its audio looped back to who speaks to it."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from types import TracebackType

from demo.stack import DemoDevice, Stack

_MODULES = Path("/usr/lib/baresip/modules")
# aubridge with one name on both sides: what comes in goes out again, unless a ringback tone has taken the name first.
# Without a jitter buffer: that of 1.0.0 drops all of a new SSRC when it has seen no more than a few packets of the last.
_CONFIG = """\
net_interface {address}
sip_listen {address}:0
sip_cafile {authority}
module_path {modules}
audio_player aubridge,echo
audio_source aubridge,echo
audio_alert aubridge,alert
ringback_disabled yes
jitter_buffer_delay 0-0
module stdio.so
module g711.so
module srtp.so
module aubridge.so
module uuid.so
module account.so
module_app menu.so
"""
_ACCOUNT = (
    "<sip:{device.id}@{device.domain};transport={transport}>;auth_user={device.id};auth_pass={device.password}"
    ';outbound="sip:{server}:{port};transport={transport}";regint=600;answermode=auto;audio_codecs=PCMU,PCMA{encryption}\n'
)


class Baresip:
    """One installation of it, in a folder of its own; it runs between ``start`` and ``stop``.

    ``encryption`` is of its audio: ``srtp-mand`` for SDES and nothing else.
    """

    def __init__(
        self,
        folder: Path,
        stack: Stack,
        device: DemoDevice,
        transport: str = "udp",
        encryption: str = "",
    ) -> None:
        self.log = folder / "baresip.log"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        server, port = stack.sip_address(transport)
        account = _ACCOUNT.format(
            device=device,
            transport=transport,
            server=server,
            port=port,
            encryption=encryption and f";mediaenc={encryption}",
        )
        config = _CONFIG.format(address=stack.address, authority=stack.tls_ca, modules=_MODULES)
        for name, text in (("config", config), ("accounts", account), ("uuid", str(uuid.uuid4()))):
            (folder / name).write_text(text, encoding="utf-8")

    async def start(self, *commands: str) -> None:
        """Start it; it registers at once, and does these commands of its own, such as ``/dial sip:600@pbx.test``.

        Before it is registered 1.1.0 dials nothing shorter.
        """
        told = [argument for command in commands for argument in ("-e", command)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("baresip", "-f", str(self._folder), "-4", "-s", *told),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def stop(self) -> None:
        """End it as its user does: it unregisters, and is gone."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout=3.0)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def __aenter__(self) -> Baresip:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
