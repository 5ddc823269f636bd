"""The ASGI application (`uvicorn app.main:app --reload`). Importing it has side effects."""

# ruff: noqa: E402 - imports after `gc.disable()`
import gc

gc.disable()  # nearly nothing that is created here is garbage, and collecting takes a tenth of the start

import os
import sys

from app import log_output, logs
from app.composition import compose
from app.settings import Settings, SettingsError
from app.settings.environment import environment
from app.settings.telemetry import METRICS_FOLDER, otel_variables

# How many collections of younger objects come before a collection of all objects (Python's default: 10).
# A collection of all objects takes 4 to 25 ms with 500 open streams, and finds almost nothing.
YOUNGER_COLLECTIONS = 1_000

try:
    env = environment()
    settings = Settings.from_env(env)
except SettingsError as error:
    sys.exit(str(error))

telemetry = settings.telemetry
metrics = tracing = None
if telemetry.metrics_port is not None and METRICS_FOLDER in os.environ:  # `app serve` exposes them
    from app.metrics import Metrics

    metrics = Metrics()
if telemetry.is_traced:
    from app.tracing import Tracing

    tracing = Tracing(otel_variables(env))
log_output.never_fail()
logs.configure(settings.log_level, settings.log_format, telemetry.log_user_key)
app = compose(settings, metrics=metrics, tracing=tracing)
gc.freeze()  # the collector skips all present objects from now on; less than 1 MB of these is garbage
gc.set_threshold(*gc.get_threshold()[:2], YOUNGER_COLLECTIONS)
gc.enable()
