"""`uvicorn app.main:app --reload`. The only module whose import does something."""

import gc
import sys

from app import logs
from app.composition import compose
from app.settings import Settings, SettingsError
from app.settings.environment import environment

try:
    settings = Settings.from_env(environment())
except SettingsError as error:
    sys.exit(f"Taskward cannot start:\n{error}")

logs.configure(settings.log_level, settings.log_format)
app = compose(settings)
gc.collect()
gc.freeze()  # what lives as long as the process is not looked through again and again: 50 ms each time
