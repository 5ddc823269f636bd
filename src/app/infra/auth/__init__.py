"""Verifying JSON Web Tokens."""
