"""`app openapi`: write the OpenAPI document."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from app.settings import Settings

ANY_SETTINGS = {
    "DATABASE_URL": "postgresql://nobody@localhost/none",
    "BETTER_AUTH_URL": "http://localhost:3000",
}
"""Settings that are required but do not change the document."""


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "openapi", help="write the OpenAPI document", description="Write the OpenAPI document."
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to (default: standard output)")


def run(arguments: argparse.Namespace) -> int:
    """Write the document."""
    text = render_document()
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        try:
            arguments.output.write_text(text, encoding="utf-8")
        except OSError as error:
            sys.exit(f"app openapi: {arguments.output} cannot be written: {error.strerror}")
    return 0


def render_document() -> str:
    """Return the document in the format of docs/openapi.json."""
    # Other verbs do not need this import, which takes most of a second.
    from app.composition import compose  # noqa: PLC0415

    document = compose(Settings.from_env(ANY_SETTINGS)).document()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
