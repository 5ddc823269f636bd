"""docs/front-ends.md shows the code that `make check` compiles, to the letter."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SNIPPET = re.compile(r"^```tsx?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_code_shown_is_the_code_compiled() -> None:
    shown = SNIPPET.findall((ROOT / "docs" / "front-ends.md").read_text())
    files = (ROOT / "web" / "test" / "next").rglob("*.ts*")
    compiled = {file.read_text() for file in files}

    assert len(shown) == 6
    assert set(shown) <= compiled
