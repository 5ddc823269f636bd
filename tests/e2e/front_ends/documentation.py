"""The code blocks of docs/front-ends.md, as files and as commands."""

import re
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "front-ends.md"
PART = re.compile(
    r'^## (?P<section>.+?)$|^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Section:
    """The files and the commands of one section."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)


def sections(page: str) -> dict[str, Section]:
    """Return the blocks below each heading: those with a title are files, those of the shell are commands."""
    section = Section()
    found = {"": section}
    for part in PART.finditer(page):
        if part["section"]:
            section = found[part["section"]] = Section()
        elif part["title"]:
            assert part["title"] not in section.files, f"{part['title']} is shown twice"
            section.files[part["title"]] = part["text"]
        elif part["language"] == "sh":
            section.commands += [line for line in part["text"].splitlines() if line and line[0] != "#"]
    return found
