"""The results, kept beside the harness."""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent


def write(name: str, found: dict[str, Any]) -> None:
    """Write a file of results."""
    (FOLDER / name).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
