"""Taskward beside its peers, and beside itself as it grows: `make bench`, `make bench-growth`."""
