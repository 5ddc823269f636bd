"""The one place that builds SQL: every statement, with its owner, compiled once."""
