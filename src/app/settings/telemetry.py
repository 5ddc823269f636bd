"""Telemetry settings: metrics, traces, and the key of user pseudonyms in the log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

from app.settings.environment import EnvironmentReader, number, one_of

METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # a variable that `app serve` sets for its workers
LOG_KEY_MIN: Final = 16  # bytes; with a guessed key, anybody can find the lines of a user id
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Where metrics are served, whether traces are sent, and the key of user pseudonyms in the log."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None  # None: no metrics
    log_user_key: str | None = field(default=None, repr=False)  # None: a random key for each start
    is_traced: bool = False


def read_telemetry(reader: EnvironmentReader) -> TelemetrySettings:
    """Read the telemetry settings."""
    return TelemetrySettings(
        metrics_host=reader.get("METRICS_HOST") or "127.0.0.1",
        metrics_port=_read_metrics_port(reader),
        log_user_key=reader.read("LOG_USER_KEY", _parse_key, None),
        is_traced=_read_traced(reader),
    )


def otel_variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of OpenTelemetry's SDK. The SDK itself does not see those in `.env`."""
    return {name: value for name, value in env.items() if name.startswith("OTEL_") and value}


def _read_metrics_port(reader: EnvironmentReader) -> int | None:
    port: int | None = reader.read("METRICS_PORT", number(1, 65535), None)
    if port is not None and port == reader.read("PORT", number(1, 65535), 8000):
        reader.add("METRICS_PORT", f"is {port}, the port of the API: the metrics need another one")
        return None
    return port


def _read_traced(reader: EnvironmentReader) -> bool:
    """Return whether traces are sent, by the variables that every OpenTelemetry SDK reads."""
    wanted = next((name for name in ENDPOINTS if reader.get(name)), None)
    is_off = (reader.get("OTEL_SDK_DISABLED") or "").lower() == "true"
    if wanted is None or is_off or reader.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    for name in PROTOCOLS:
        reader.read(name, one_of("http/protobuf"), "http/protobuf")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        reader.add(
            wanted, "is set, and OpenTelemetry is not installed: install requirements-otel.lock, or unset it"
        )
        return False
    return True


def _parse_key(text: str) -> str:
    if len(text.encode()) < LOG_KEY_MIN:
        raise ValueError(
            f"has {len(text.encode())} bytes, and needs {LOG_KEY_MIN} or more:"
            " make one with `openssl rand -base64 32`"
        )
    return text
