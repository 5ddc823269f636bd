"""Things that only one place does."""

import re
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parent.parent.parent / "src" / "app"


def places(pattern: str) -> set[str]:
    """Return the modules whose text matches."""
    return {
        str(file.relative_to(SRC))
        for file in SRC.rglob("*.py")
        if re.search(pattern, file.read_text(), re.MULTILINE)
    }


def test_a_user_id_is_born_of_a_verified_token_only() -> None:
    assert places(r"\bUserId\(") == {"infra/auth/jwt_verifier.py"}


def test_a_repository_gets_its_owner_in_one_place() -> None:
    assert places(r"\bNeonTaskRepository\((?!protocol)[^)]*owner=") == {"infra/tasks.py"}


def test_only_documentation_and_health_are_public() -> None:
    assert places(r"\bPublicRoute\b") == {"api/middleware/authentication.py", "api/responses.py"}
    assert places(r"\bget_public\b") == {
        "api/responses.py",
        "api/docs.py",
        "api/health.py",
        "api/openapi/document.py",
        "api/problem_pages.py",
    }


def test_strings_are_looked_up_in_an_asgi_scope_in_one_place() -> None:
    assert places(r"\bscope(\[|\.(get|setdefault|pop)\b)|\bin scope\b") == {"api/context.py"}
    assert places(r"\bopt(=|\.|\[)|\.state\b") == set()


def test_arrows_point_inward() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=SRC.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
