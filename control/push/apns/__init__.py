"""Apple's push service: HTTP/2 by aioapns behind a cured protocol (docs/adr/0002-push-libraries.md)."""
