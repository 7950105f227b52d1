"""The phone in the page: one-time links, what a phone needs to register, the page itself and its engine."""
