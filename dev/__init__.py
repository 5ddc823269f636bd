"""What `make run` and the tests need and production does not. Not in the wheel."""
