"""A browser vendor's push service (RFC 8030), and the browsers that subscribe there."""
