"""What runs inside Kamailio: routing, decided from shared memory in microseconds. Standard library only."""
