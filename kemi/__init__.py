"""kemi."""
