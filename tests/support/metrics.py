"""Reads the metrics of a running service, as Prometheus does."""

import time
from collections.abc import Callable
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 10  # seconds; the service publishes its gauges once a second

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]  # each value by its name and labels


def scraped(port: int) -> Samples:
    """Return every sample, by its name and labels."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, verify=False).text  # noqa: S501 - plain HTTP
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: Any) -> float:
    """Return the sum of the samples of this name that have at least these labels."""
    wanted = {(label, str(value)) for label, value in labels.items()}
    return sum(value for (found, present), value in samples.items() if found == name and wanted <= present)


def eventually(port: int, holds: Callable[[Samples], bool]) -> Samples:
    """Scrape until `holds(samples)` is true, and return these samples."""
    deadline = time.monotonic() + PATIENCE
    while not holds(samples := scraped(port)):
        assert time.monotonic() < deadline, {
            key: at for key, at in samples.items() if "_bucket" not in key[0]
        }
        time.sleep(0.1)
    return samples
