"""Apple's push service: HTTP/2 over TLS, provider tokens, notification requests."""
