"""Abuse: the most expensive requests that are allowed, beside one honest person whose requests are measured."""
