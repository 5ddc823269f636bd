"""Reading environment variables. All errors are reported together, one a line."""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from dotenv.parser import Binding, Original, parse_stream

T = TypeVar("T")

ROOT: Final = 0  # user id of root, who can write every file anyway
SECRETS: Final = ("BETTER_AUTH_SECRET", "BETTER_AUTH_SECRET_PREVIOUS", "DATABASE_URL", "DATABASE_URL_DIRECT")
ENV_FILE: Final = "ENV_FILE"  # passes `--env-file` to workers
ACCEPTED: Final = "TASKWARD_ACCEPTED_FILE"
"""Passes to workers the file's variables as the main process accepted them, as JSON."""


class SettingsError(Exception):
    """The environment is incomplete or invalid. `errors` has every error, each with its variable or file."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        listed = f" {errors[0]}" if len(errors) == 1 else "".join(f"\n  {error}" for error in errors)
        super().__init__(f"Taskward cannot start:{listed}")


def environment(of_file: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of the process and of a file: `of_file`, or else those of `ENV_FILE` or `.env`.

    Variables of the process take precedence. If the process sets another database than the file, the file's
    direct address is ignored: it belongs to the file's database.

    Raises:
        SettingsError: the working directory was deleted, the file cannot be read or parsed, or others can
                write it.
    """
    found, process = dict(read_env_file() if of_file is None else of_file), dict(os.environ)
    if process.get("DATABASE_URL", "").strip() not in ("", found.get("DATABASE_URL")):
        found.pop("DATABASE_URL_DIRECT", None)
    return found | process


def pass_to_workers(variables: Mapping[str, str]) -> None:
    """Let workers that start from now on use these variables, even if the file changes or is deleted."""
    os.environ[ACCEPTED] = json.dumps(dict(variables))


def read_env_file() -> dict[str, str]:
    """Return the variables of `ENV_FILE` or `.env`. A worker gets what its main process accepted."""
    if accepted := os.environ.get(ACCEPTED):
        return dict(json.loads(accepted))
    return read_env_file_anew()


def read_env_file_anew() -> dict[str, str]:
    """Return the variables that the file has now. The last value of a name counts."""
    _, lines = _read_lines()
    return {line.key: line.value for line in lines if line.key and line.value is not None}


def readable_secrets() -> list[str]:
    """Return a warning if every user of this machine can read the file, and it has secrets."""
    path, _ = _file_path()
    held = [name for name in SECRETS if read_env_file().get(name)]
    if not held or not path.stat().st_mode & stat.S_IROTH:
        return []
    command = f"chmod 600 {path}"
    if path.stat().st_uid != os.geteuid():
        command = f"chgrp {os.getegid()} {path} && chmod 640 {path}"
    return [f"{path} holds {held[0]} and can be read by every user: {command}"]


def repeated_names() -> list[str]:
    """Return a warning for each name that the file sets more than once."""
    path, lines = _read_lines()
    places: dict[str, list[int]] = {}
    for line in lines:
        if line.key:
            places.setdefault(line.key, []).append(_line_number(line.original))
    return [
        f"{path} sets {name} more than once (lines {', '.join(map(str, at))}): the last one counts"
        for name, at in places.items()
        if len(at) > 1
    ]


def _file_path() -> tuple[Path, bool]:
    """Return the path of the file of variables, and whether ENV_FILE names it."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        gone = "the working directory was deleted: start Taskward in one that exists"
        raise SettingsError([gone]) from None
    name = os.environ.get(ENV_FILE)
    return folder / (name or ".env"), bool(name)


def _read_lines() -> tuple[Path, list[Binding]]:
    """Return the path of the file of variables, and its lines.

    Raises:
        SettingsError: the file cannot be read or parsed, or others can write it: they could set the secret.
    """
    path, required = _file_path()
    try:
        found = path.stat()
    except OSError as error:
        if required:
            raise SettingsError([f"the file {path} cannot be read ({error.strerror})"]) from None
        return path, []
    if not stat.S_ISREG(found.st_mode):
        if required:
            raise SettingsError([f"{path} is not a file"])
        return path, []
    if found.st_uid not in (os.geteuid(), ROOT):
        raise SettingsError([f"{path} belongs to another user, who could set anything: chown or move it"])
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError([f"{path} can be written by other users: chmod go-w {path}"])
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except OSError as error:
        raise SettingsError([f"the file {path} cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"the file {path} cannot be read (it is not UTF-8)"]) from None
    errors = [
        f"{path} has no NAME=value in line {_line_number(line.original)}"
        for line in lines
        if line.error or (line.key and line.value is None)
    ]
    if errors:
        raise SettingsError(errors)
    return path, lines


def _line_number(original: Original) -> int:
    text = original.string
    return original.line + text[: len(text) - len(text.lstrip())].count("\n")  # skip leading blank lines


class EnvironmentReader:
    """Reads variables and collects errors. An empty variable counts as absent."""

    names: ClassVar[set[str]] = set()  # every name that was ever read, set or not

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.errors: list[str] = []

    def get(self, name: str) -> str | None:
        """Return the value, or None."""
        self.names.add(name)
        return self._env.get(name, "").strip() or None

    def add(self, name: str, what: str) -> None:
        """Add an error: `what` says what is wrong with the variable, and what to do."""
        self.errors.append(f"{name} {what}")

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed value, or the default if it is absent or invalid (`parse` raises ValueError)."""
        value = self.get(name)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.add(name, str(error))
            return default


def existing_file(text: str) -> str:
    """Accept the name of an existing file.

    Raises:
        ValueError: there is no such file.
    """
    if not is_file(text):
        raise ValueError(f"is {text!r}, which is not a file")
    return text


def is_file(name: str) -> bool:
    """Return whether there is a file of this name."""
    try:
        return Path(name).is_file()
    except OSError:  # the name is too long, or its folder is not readable
        return False


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that accepts these words only, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"is {text!r}, which must be one of {', '.join(words)}")
        return text.lower()

    return parse


def flag(text: str) -> bool:
    """Accept 1 and 0, true and false."""
    return one_of("1", "0", "true", "false")(text) in ("1", "true")


def number(low: int, high: int) -> Callable[[str], int]:
    """Return a parser that accepts a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"is {text!r}, which must be a whole number from {low} to {high}")
        return int(text)

    return parse
