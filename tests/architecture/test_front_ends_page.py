"""docs/front-ends.md shows exactly the code that `make check` compiles. The client names every type of problem."""

import re
from pathlib import Path

from app.api.problems import PRECONDITION_REQUIRED, PROBLEMS

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r'^```tsx? title="(?P<name>[^"]+)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL)
NOT_SHOWN = {"next.d.ts", "plugin-react.d.ts"}  # types of packages that `web/` does not install


def test_each_block_of_code_is_a_file_that_is_compiled_and_each_file_is_shown() -> None:
    page = (ROOT / "docs" / "front-ends.md").read_text()
    shown = {block["name"]: block["code"] for block in BLOCK.finditer(page)}
    compiled = {
        str(file.relative_to(app)): file.read_text()
        for app in (ROOT / "web" / "test" / "next", ROOT / "web" / "test" / "vite")
        for file in app.rglob("*.ts*")
        if file.suffix in {".ts", ".tsx"} and file.name not in NOT_SHOWN and "taskward" not in file.parts
    }

    assert len(BLOCK.findall(page)) == len(re.findall(r"^```tsx?\b", page, re.MULTILINE))
    assert shown == compiled


def test_the_client_names_every_type_of_problem() -> None:
    client = (ROOT / "web" / "lib" / "index.ts").read_text()
    listed = client.split("// The API's own", 1)[1].split("// This client's", 1)[0]

    slugs = {problem.slug for problem in (*PROBLEMS.values(), PRECONDITION_REQUIRED)}
    assert set(re.findall(r'"([a-z-]+)"', listed)) == slugs
