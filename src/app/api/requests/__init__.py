"""Reading and validating requests: headers, bodies, queries."""
