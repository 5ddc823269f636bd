"""Reading requests: headers, bodies, queries."""
