"""Clients as they are found in the world, each with its habits, over the wire."""
