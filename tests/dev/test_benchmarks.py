"""The harness of `make bench`, where a wrong figure could hide."""

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks import readme
from benchmarks.measuring import Figures, Measured
from benchmarks.report import Report
from benchmarks.running import cpu_of
from benchmarks.settings import BenchSettings
from dev.steps import Cannot

NOTHING = Figures(rate=1, cpu=1, database_cpu=1, client_cpu=1, p50=1, p95=1, p99=1, memory=1)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    time.sleep(60)


def report_of(**cpu: list[float]) -> Report:
    return Report(
        [
            Measured(number, variant, "list", replace(NOTHING, cpu=value))
            for variant, values in cpu.items()
            for number, value in enumerate(values)
        ]
    )


def test_the_cpu_of_a_server_is_that_of_its_workers_too() -> None:
    before = cpu_of(psutil.Process())
    worker = multiprocessing.get_context("spawn").Process(target=burn, args=(0.5,))

    worker.start()
    try:
        deadline = time.monotonic() + 20
        while (spent := cpu_of(psutil.Process()) - before) < 0.5 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        worker.kill()
        worker.join()

    assert spent >= 0.5


def test_a_ratio_is_of_medians_and_its_spread_of_rounds() -> None:
    report = report_of(ours=[10, 30, 20], theirs=[40, 50, 100])

    ratio = report.ratio("ours", "theirs", "list")

    assert (ratio.of_medians, ratio.least, ratio.greatest) == (20 / 50, 20 / 100, 30 / 50)
    assert str(ratio) == "0.40 (0.20 to 0.60)"


def test_a_table_replaces_what_stands_between_its_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- bench: written by a run -->\nold\n<!-- /bench -->\nafter\n")

    readme.put("bench", "new \\1", page)

    assert page.read_text() == "before\n<!-- bench: written by a run -->\nnew \\1\n<!-- /bench -->\nafter\n"
    with pytest.raises(ValueError, match="no place for growth"):
        readme.put("growth", "new", page)


def test_everything_wrong_with_what_a_run_is_told_is_named_at_once() -> None:
    with pytest.raises(Cannot) as raised:
        BenchSettings.from_env(
            {"ROUNDS": "0", "SCENES": "list,dance", "ALG": "none", "SERVERS": "fastapi,rails"}
        )

    for word in ("ROUNDS", "dance", "ALG", "rails"):
        assert word in str(raised.value)
