"""Clients that are generated from the OpenAPI document compile, and can read and change tasks."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.factories import someone
from tests.support.servers.service import BARE_ENVIRONMENT, Service

pytestmark = pytest.mark.server

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
DOCUMENT = ROOT / "docs" / "openapi.json"
NODE_MODULES = ROOT / "web" / "node_modules"
TIMEOUT = 120  # seconds, of each step


def run(folder: Path, *command: str | Path, **env: str) -> None:
    """Run a command; fail with its output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**BARE_ENVIRONMENT, **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def environment_of(service: Service) -> dict[str, str]:
    return {"TASKS_URL": service.url, "TOKEN": service.token(someone("ann"))}


def test_the_client_of_openapi_python_client_works(service: Service, tmp_path: Path) -> None:
    tool = Path(sys.executable).parent / "openapi-python-client"
    options = ("--meta", "none", "--output-path", tmp_path / "generated")
    shutil.copy(HERE / "drive_python.py", tmp_path)

    path = f"{tool.parent}:{BARE_ENVIRONMENT['PATH']}"  # the tool formats with ruff
    run(tmp_path, tool, "generate", "--fail-on-warning", "--path", DOCUMENT, *options, PATH=path)
    run(tmp_path, sys.executable, "-m", "compileall", "-q", "generated")
    run(tmp_path, sys.executable, "drive_python.py", **environment_of(service))


def run_typescript(folder: Path, driver: str, service: Service) -> None:
    """Compile a generated client together with the script that uses it, and run the script."""
    shutil.copy(HERE / driver, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(NODE_MODULES)
    options = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--types", "node")
    modules = ("--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable")
    run(folder, NODE_MODULES / ".bin" / "tsc", *options, *modules, driver)
    run(folder, NODE_MODULES / ".bin" / "tsx", driver, **environment_of(service))


def test_the_client_of_hey_api_works(service: Service, tmp_path: Path) -> None:
    if not (NODE_MODULES / "@hey-api").is_dir():
        pytest.skip("web packages are not installed")

    run(tmp_path, NODE_MODULES / ".bin" / "openapi-ts", "-i", DOCUMENT, "-o", tmp_path / "generated")
    run_typescript(tmp_path, "drive_fetch.ts", service)


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_the_client_of_openapi_generator_works(service: Service, tmp_path: Path) -> None:
    jar = next(Path(str(find_spec("openapi_generator_cli").origin)).parent.glob("*.jar"))  # type: ignore[union-attr]
    generate = ("generate", "-g", "typescript-fetch", "-i", DOCUMENT, "-o", tmp_path / "generated")

    run(tmp_path, "java", "-jar", jar, *generate)
    run_typescript(tmp_path, "drive_openapi_generator.ts", service)
