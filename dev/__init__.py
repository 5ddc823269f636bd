"""Code for targets of the Makefile and for the tests. It is not part of the wheel."""
