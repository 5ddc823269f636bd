"""Code that `make run` and the tests need. It is not part of the wheel."""
