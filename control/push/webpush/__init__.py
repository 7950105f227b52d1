"""The browsers' push services (RFC 8030), encrypted (RFC 8291) and signed (RFC 8292); docs/adr/0007-web-push.md."""
