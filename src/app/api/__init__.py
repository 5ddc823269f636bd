"""The HTTP layer: with `app.composition`, the only code that imports Litestar; alone it imports msgspec."""
