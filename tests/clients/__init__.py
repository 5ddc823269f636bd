"""HTTP clients, real and imitated, each with its habits, against a running service."""
