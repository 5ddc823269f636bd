"""The plan of a statement, with the numbers of rows that PostgreSQL read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.infra.statements.owner_scope import Statement

KINDS: Final = ("force_custom_plan", "force_generic_plan")
"""A plan for the given values, and a plan for any values. PostgreSQL may use the second kind from the sixth run on."""


class Plan:
    """What EXPLAIN ANALYZE printed for a statement: the nodes of its plan."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.nodes = list(_nodes(root))
        self.scans = [node for node in self.nodes if "Scan" in node["Node Type"] and "Relation Name" in node]
        self.scans_of_tasks = [scan for scan in self.scans if scan["Relation Name"] == "tasks"]

    def __str__(self) -> str:
        return json.dumps(self.nodes[0], indent=1)

    @property
    def rows_read(self) -> int:
        """The number of tasks that were read, including those that a filter removed."""
        return sum(map(rows_of_scan, self.scans_of_tasks))

    @property
    def sorts(self) -> bool:
        return any("Sort" in node["Node Type"] for node in self.nodes)

    @property
    def indexes(self) -> set[str]:
        return {name for scan in self.scans_of_tasks for name in _indexes_of(scan)}


def rows_of_scan(scan: dict[str, Any]) -> int:
    """Return the rows that a scan read in all its loops. PostgreSQL prints the average of one loop."""
    names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return int(scan["Actual Loops"] * sum(scan.get(name, 0) for name in names))


async def plan_of(connection: Any, kind: str, statement: Statement, values: Mapping[str, object]) -> Plan:
    """Run a statement with a kind of plan, roll it back, and return the plan."""
    arguments = ", ".join(_literal(values[name]) for name in statement.names)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"SET LOCAL plan_cache_mode = {kind}")
    await connection.execute(f"PREPARE it AS {statement.sql}")
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE it ({arguments})")
    await connection.execute("DEALLOCATE it")
    await transaction.rollback()
    return Plan(json.loads(plan)[0]["Plan"])


def _literal(value: object) -> str:
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list | tuple):
        value = "{" + ",".join(f'"{item}"' for item in value) + "}"
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def _indexes_of(scan: dict[str, Any]) -> Iterator[str]:
    if scan["Node Type"] == "Bitmap Heap Scan":  # its children read the indexes
        yield from (node["Index Name"] for node in _nodes(scan) if node["Node Type"] == "Bitmap Index Scan")
    else:
        yield scan.get("Index Name", "none")


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
