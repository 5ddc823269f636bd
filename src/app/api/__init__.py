"""HTTP: the only package that knows Litestar and msgspec."""
