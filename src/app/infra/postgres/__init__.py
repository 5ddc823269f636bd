"""PostgreSQL: connections, statements run for one owner, row-level security."""
