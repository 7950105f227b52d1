"""Google's push service: HTTP v1 by aiohttp, access tokens by google-auth (docs/adr/0002-push-libraries.md)."""
