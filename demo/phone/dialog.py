"""A dialog: what two user agents know of each other between INVITE and BYE (RFC 3261 §12)."""

from __future__ import annotations

from dataclasses import dataclass

from sipmessage import Request, Response

from demo.phone.exchange import Draft, Sequence
from demo.phone.message import split_list, tag_of, uri_of


@dataclass
class Dialog:
    """One side's view. ``local`` and ``remote`` are whole From/To values, tags included; ``target`` is a URI."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]
    sequence: Sequence

    @classmethod
    def of_caller(cls, invite: Request, answer: Response, sequence: Sequence) -> Dialog:
        """The dialog that ``answer`` establishes for who sent ``invite`` (§12.1.2)."""
        return cls(
            call_id=invite.headers["Call-ID"],
            local=invite.headers["From"],
            remote=answer.headers["To"],
            target=_contact(answer) or str(invite.uri),
            routes=tuple(reversed(split_list(answer.headers.getlist("Record-Route")))),
            sequence=sequence,
        )

    @classmethod
    def of_callee(cls, invite: Request, tag: str) -> Dialog:
        """The dialog of who answers ``invite`` with this tag (§12.1.1)."""
        return cls(
            call_id=invite.headers["Call-ID"],
            local=f"{invite.headers['To']};tag={tag}",
            remote=invite.headers["From"],
            target=_contact(invite) or uri_of(invite.headers["From"]),
            routes=tuple(split_list(invite.headers.getlist("Record-Route"))),
            sequence=Sequence(),
        )

    def owns(self, request: Request) -> bool:
        """Whether a received request belongs to this dialog (§12.2.2)."""
        return (
            request.headers["Call-ID"] == self.call_id
            and tag_of(request.headers["To"]) == tag_of(self.local)
            and tag_of(request.headers["From"]) == tag_of(self.remote)
        )

    def retarget(self, message: Request | Response) -> None:
        """Take the peer's new Contact from a re-INVITE or its 2xx (§12.2)."""
        self.target = _contact(message) or self.target

    def draft(
        self, method: str, contact: str = "", headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> Draft:
        """A request within the dialog (§12.2.1.1)."""
        return Draft(
            method=method,
            uri=self.target,
            sender=self.local,
            recipient=self.remote,
            call_id=self.call_id,
            sequence=self.sequence,
            contact=contact,
            routes=self.routes,
            headers=headers,
            body=body,
        )


def _contact(message: Request | Response) -> str:
    contacts = split_list(message.headers.getlist("Contact"))
    return uri_of(contacts[0]) if contacts else ""
