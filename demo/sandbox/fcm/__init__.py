"""Google's push service: the OAuth token exchange and the HTTP v1 ``messages:send``."""
