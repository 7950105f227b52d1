"""How a PBX, or a device, gets the keys that the other side presses by INFO."""

from __future__ import annotations

# "rfc4733": as telephone-events, in the audio stream; "info": by INFO, as they were sent. "auto" is, for a PBX, as events where
# both sides have agreed on them and else by INFO; for a device, by INFO: a page in a browser is not told of events.
PBX_DTMF = ("auto", "rfc4733", "info")
DEVICE_DTMF = ("auto", "rfc4733")
