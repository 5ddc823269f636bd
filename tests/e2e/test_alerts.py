"""The alarms of docs/examples/prometheus-alerts.yml, tested with promtool and in a real Prometheus."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from dev.children import prepare
from dev.postgres import free_port
from tests.conftest import environment_for
from tests.support.metrics import eventually, scraped, total
from tests.support.servers.service import serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.server

PATIENCE = 30  # seconds
PAUSE = 0.2  # seconds between two questions to Prometheus
ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "docs" / "examples" / "prometheus-alerts.yml"
TESTS = ROOT / "tests" / "prometheus" / "alerts_test.yml"
ALWAYS = (
    "group by (instance) ({__name__=~'taskward.*|process.*|up'})"  # a condition that every instance fulfils
)
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus)")
    return found


def promtool(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("promtool"), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def failing_alarms(rules: str, folder: Path) -> set[str]:
    """Run the tests of the alarms on other rules; return the alarms with a failing test."""
    (folder / "rules.yml").write_text(rules)
    (folder / "tests.yml").write_text(
        TESTS.read_text().replace("../../docs/examples/prometheus-alerts.yml", "rules.yml")
    )
    done = promtool("test", "rules", "tests.yml", cwd=folder)
    return set(re.findall(r"alertname: (\w+), time", done.stdout + done.stderr))


def test_each_alarm_fires_when_it_should_and_only_then() -> None:
    done = promtool("test", "rules", str(TESTS))

    assert done.returncode == 0, done.stdout
    assert promtool("check", "rules", str(RULES)).returncode == 0


@pytest.mark.parametrize("alert", ALERTS)
@pytest.mark.parametrize("condition", ["vector(0) > 1", ALWAYS], ids=["never", "always"])
def test_an_alarm_that_never_fires_or_always_fires_is_detected(
    tmp_path: Path, alert: str, condition: str
) -> None:
    broken = re.sub(
        rf"(- alert: {alert}\n +expr: ).*?(\n +(?:for|labels):)",
        rf"\g<1>{condition}\g<2>",
        RULES.read_text(),
        flags=re.DOTALL,
    )

    assert broken != RULES.read_text()
    assert failing_alarms(broken, tmp_path) == {alert}


def test_the_operations_page_lists_each_alarm() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()

    assert re.findall(r"^\| `(Taskward\w+)` \|", page, re.MULTILINE) == ALERTS


@contextmanager
def prometheus(target: int, folder: Path) -> Iterator[httpx.Client]:
    """Run a Prometheus that reads the metrics at the port `target` each half second, with our alarms."""
    port = free_port()
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
                "rule_files": [str(RULES)],
                "scrape_configs": [
                    {"job_name": "taskward", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
                ],
            }
        )
    )
    command = [
        program("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log,
            stderr=log,
            preexec_fn=prepare(),  # noqa: PLW1509 - no threads here
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/") as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def firing(client: httpx.Client) -> set[str]:
    """Return the names of the alarms that fire; none if Prometheus does not answer yet."""
    try:
        alerts = client.get("alerts").json()["data"]["alerts"]
    except (httpx.HTTPError, ValueError):
        return set()
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def has_series(client: httpx.Client, selector: str) -> bool:
    """Return whether Prometheus has a series that the selector matches."""
    try:
        return bool(client.get("query", params={"query": selector}).json()["data"]["result"])
    except (httpx.HTTPError, ValueError):
        return False


def test_a_real_prometheus_fires_at_the_first_error_and_at_the_first_dead_worker(
    tmp_path: Path,
) -> None:
    port = free_port()
    nowhere = environment_for(f"postgresql://nobody@127.0.0.1:{free_port()}/none", METRICS_PORT=str(port))
    (folder := tmp_path / "prometheus").mkdir()
    with serving(nowhere, tmp_path) as service, prometheus(port, folder) as client:
        counts = 'taskward_http_request_duration_seconds_count{status="503"}'
        wait_until(lambda: has_series(client, counts), seconds=PATIENCE, pause=PAUSE)
        assert firing(client) == set()

        refused = httpx.get(f"{service.url}/api/me/tasks", headers=service.headers(), timeout=10)
        assert refused.status_code == 503
        wait_until(lambda: "TaskwardError" in firing(client), seconds=PATIENCE, pause=PAUSE)
        assert "TaskwardWorkerDied" not in firing(client)

        psutil.Process(service.process.pid).children()[0].kill()
        wait_until(lambda: "TaskwardWorkerDied" in firing(client), seconds=PATIENCE, pause=PAUSE)


def test_the_service_exposes_each_metric_of_the_alarms(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    env = environment_for(
        database_url,
        METRICS_PORT=str(port),
        RATE_LIMIT_STORE="redis://127.0.0.1:1",
        JWKS_URL="http://127.0.0.1:1/jwks",
    )
    with serving(env, tmp_path):
        eventually(port, lambda samples: total(samples, "taskward_workers") == 1)
        shown = {name for name, _ in scraped(port)} | {"up"}

    conditions = re.findall(r"expr:(.*?)\n +(?:for|labels):", RULES.read_text(), re.DOTALL)
    used = {
        name
        for condition in conditions
        for name in re.findall(r"\b(?:taskward|process)_\w+|\bup\b", condition)
    }
    assert len(used) > 8
    assert used <= shown, os.linesep.join(sorted(shown))
