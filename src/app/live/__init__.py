"""Live updates inside a process: which event streams are open, and which of them must read the feed."""
