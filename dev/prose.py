"""`make check`: find words that make a reader stop, in README, docs, docstrings and comments.

proselint has the list for English in general; `REPLACEMENTS` has our own. Code is not prose.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proselint.checks import __register__
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT: Final = Path(__file__).parent.parent
REPLACEMENTS: Final = {  # phrase to avoid: what to write instead
    "told": "reported, logged, answered",
    "tells": "says which, returns, shows",
    "whoever": "a person who, a client that",
    "of which": "a sentence of its own",
    "of whom": "a sentence of its own",
    "asked": "requested, read, queried",
    "asks": "requests, sends, reads",
    "said": "logged, written, shown",
    "lay": "was",
    "lies": "is",
    "stands for": "means, is",
    "as it came": "unchanged",
    "as they came": "unchanged",
    "wherein": "in which",
    "thereof": "of it",
    "who asks": "the person, the client",
    "is no longer to": "must not",
}
PHRASES: Final = {
    phrase: re.compile(r"\b" + r"\s+".join(phrase.split()) + r"\b", re.IGNORECASE) for phrase in REPLACEMENTS
}
EXCLUDED: Final = (
    ":!src/app/infra/migrations/versions",  # what was released stays unchanged
)
# Two checks of proselint are off: typography, and repeated words, which it finds in table cells and headings.
CONFIG: Final[Config] = {
    **DEFAULT,
    "checks": {**DEFAULT["checks"], "typography": False, "lexical_illusions": False},
}


def main() -> None:
    """Print each finding as `file:line: what` and exit with 1 if there is any."""
    CheckRegistry().register_many(__register__)
    names = sys.argv[1:] or _list_tracked_files(
        "*.md", "src/*.py", "tests/*.py", "dev/*.py", "benchmarks/*.py", *EXCLUDED
    )
    findings = [f"{name}:{finding}" for name in names for finding in find_in(ROOT / name)]
    print(*findings, sep="\n", end="\n" if findings else "")
    sys.exit(1 if findings else 0)


def find_in(file: Path) -> list[str]:
    """Return the findings in a file, as `line: what`."""
    text = file.read_text()
    prose = _prose_of_python(text) if file.suffix == ".py" else _prose_of_markdown(text)
    found = [
        (_line_number(prose, match.start()), f"“{phrase}”: write {REPLACEMENTS[phrase]}")
        for phrase, pattern in PHRASES.items()
        for match in pattern.finditer(prose)
    ]
    if prose.strip():
        found += [
            (result.pos[0], result.check_result.message) for result in LintFile(file.name, prose).lint(CONFIG)
        ]
    return [f"{line}: {what}" for line, what in sorted(found)]


def _list_tracked_files(*patterns: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "--", *patterns]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603 - ours


def _line_number(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _blank(match: re.Match[str]) -> str:
    """Replace the text of each line by a backquote. The number of lines, and so each line number, stays."""
    return re.sub(r"[^\n]+", "`", match[0])


def _prose_of_markdown(text: str) -> str:
    text = re.sub(r"^ *```.*?^ *```", _blank, text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!-- (\S+): written by a run -->.*?<!-- /\1 -->", _blank, text, flags=re.DOTALL)
    text = re.sub(r"<!-- what follows is written by .*", _blank, text, flags=re.DOTALL)
    return re.sub(r"`[^`\n]+`|\]\([^)]*\)|<[^>\n]+>", _blank, text)


def _prose_of_python(text: str) -> str:
    """Return docstrings and comments on their lines, and nothing else."""
    lines = [""] * (text.count("\n") + 2)
    for number, comment in (*_comments(text), *_docstrings(text)):
        for offset, line in enumerate(comment.split("\n")):
            lines[number - 1 + offset] += line
    return re.sub(r"`[^`\n]+`", _blank, "\n".join(lines))


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|pragma|!)", token.string):
            yield token.start[0], token.string.partition("  # noqa")[0].lstrip("# ")


def _docstrings(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                value = body[0].value.value
                if isinstance(value, str):
                    yield body[0].lineno, value


if __name__ == "__main__":
    main()
