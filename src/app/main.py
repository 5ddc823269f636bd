"""The ASGI application (`uvicorn app.main:app --reload`). The only module whose import has side effects."""

# ruff: noqa: E402 - imports after the first line
import gc

gc.disable()  # nothing that is created here is garbage, and collecting takes a tenth of the start

import os
import sys

from app import log_output, logs
from app.composition import compose
from app.settings import Settings, SettingsError
from app.settings.environment import environment
from app.settings.telemetry import COUNT_FILES, otel_variables

# A collection of all objects takes 4 to 25 ms beside 500 open streams, and finds next to nothing:
# one for so many collections of the younger objects, not for every ten.
YOUNGER_COLLECTIONS = 1_000

env = environment()
try:
    settings = Settings.from_env(env)
except SettingsError as error:
    sys.exit(str(error))

telemetry = settings.telemetry
metrics = tracing = None
if telemetry.metrics_port is not None and COUNT_FILES in os.environ:  # `app serve` exposes them
    from app.metrics import Metrics

    metrics = Metrics()
if telemetry.traced:
    from app.tracing import Tracing

    tracing = Tracing(otel_variables(env))
log_output.never_fail()
logs.configure(settings.log_level, settings.log_format, telemetry.log_user_key)
app = compose(settings, metrics=metrics, tracing=tracing)
gc.freeze()  # the collector skips long-lived objects from now on, and less than a MB of garbage
gc.set_threshold(*gc.get_threshold()[:2], YOUNGER_COLLECTIONS)
gc.enable()
