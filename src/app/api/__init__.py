"""The HTTP layer. Only this package imports msgspec, and only it and `app.composition` import Litestar."""
