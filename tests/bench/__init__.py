"""What `make bench` measures, and how: each figure beside its peer, in one run."""
