"""What only certain modules of the application may do."""

import re
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parent.parent.parent / "src" / "app"


def modules_with(pattern: str) -> set[str]:
    """Return the modules in whose source a pattern occurs."""
    return {
        str(file.relative_to(SRC))
        for file in SRC.rglob("*.py")
        if re.search(pattern, file.read_text(), re.MULTILINE)
    }


def test_only_the_verification_of_a_token_makes_a_user_id() -> None:
    assert modules_with(r"\bUserId\(") == {"infra/auth/jwt_verifier.py"}


def test_only_one_module_gives_a_repository_its_owner() -> None:
    assert modules_with(r"\bNeonTaskRepository\((?!protocol)[^)]*owner=") == {"infra/tasks.py"}


def test_only_documentation_and_health_are_public() -> None:
    assert modules_with(r"\bPublicRoute\b") == {"api/middleware/authentication.py", "api/responses.py"}
    assert modules_with(r"\bget_public\b") == {
        "api/responses.py",
        "api/docs.py",
        "api/health.py",
        "api/openapi/document.py",
        "api/problem_pages.py",
    }


def test_only_one_module_reads_the_asgi_scope() -> None:
    assert modules_with(r"\bscope(\[|\.(get|setdefault|pop)\b)|\bin scope\b") == {"api/context.py"}
    assert modules_with(r"\bopt(=|\.|\[)|\.state\b") == set()


def test_imports_point_inward() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=SRC.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
