"""Counters of requests, in memory or in a shared store."""
