"""For development: a push is a line in the log of the edge agent."""
