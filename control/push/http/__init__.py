"""The operator's own pusher: a signed POST (Standard Webhooks) to a URL of his."""
