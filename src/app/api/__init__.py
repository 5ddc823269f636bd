"""The HTTP layer. Only it and `app.composition` import Litestar; only it imports msgspec."""
