"""What can be done with the system: each module a handful of functions that take a database session."""
