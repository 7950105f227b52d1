"""A PBX that is a phone of ours: it takes and makes offers as the test says, and is heard, which no script of answers is."""

from __future__ import annotations

from sipmessage import Request

from demo.phone import Call, Phone
from demo.phone.message import build_response
from demo.phone.server_transaction import ServerTransaction
from demo.stack import Stack
from tests.e2e.scene import BOB, Scene
from tests.fixtures.phones import Phones

REALM = "asterisk"


class PbxPhone(Phone):
    """The PBX's end of each call. With ``challenges`` it wants to know who calls, as most PBXs do."""

    challenges = False

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._awake().contact_uri.rpartition(":")[2])

    def on_request(
        self, request: Request, transaction: ServerTransaction, invite: ServerTransaction | None
    ) -> None:
        """Take a new request from the endpoint."""
        unknown = not (request.headers.get("Authorization") or "tag=" in request.headers["To"])
        if request.method == "INVITE" and unknown and self.challenges:
            challenge = (
                "WWW-Authenticate",
                f'Digest realm="{REALM}", nonce="abc", algorithm=MD5, qop="auth"',
            )
            transaction.respond(build_response(request, 401, tag="challenge", headers=(challenge,)))
            return
        super().on_request(request, transaction, invite)


class PeerPbx:
    """That PBX and its connection at Nightbell, which rings Bob's devices."""

    def __init__(self, stack: Stack, phone: PbxPhone, connection: str) -> None:
        self.phone = phone
        self.uri = f"sip:{connection}@{stack.address}:{stack.sip_address()[1]}"  # to call Bob by

    @classmethod
    async def start(cls, scene: Scene, phones: Phones, kind: type[PbxPhone] = PbxPhone) -> PeerPbx:
        """A PBX on a port of the system's choice."""
        stack = scene.stack
        phone = phones("pbx", "", stack.domain, stack.sip_address(), kind=kind, local=stack.address)
        assert isinstance(phone, PbxPhone)
        await phone.start()
        scene.connection = await stack.add_connection(
            BOB, "bob", port=phone.port, realm=REALM, register=False
        )
        return cls(stack, phone, scene.connection)

    async def talk(self, bob: Phone, bob_calls: bool) -> tuple[Call, Call]:
        """A call that is up: Bob's end of it, and the PBX's."""
        outgoing = await (bob.call("600") if bob_calls else self.phone.call(self.uri))
        incoming = await (self.phone if bob_calls else bob).incoming()
        await outgoing.answered()
        await incoming.answered()
        return (outgoing, incoming) if bob_calls else (incoming, outgoing)
