"""`app token`: issue a token to try the API. It needs a shared secret."""

import argparse
from typing import Any, Final

from app.cli import parse_seconds
from app.infra.auth.jwt_verifier import issue_token
from app.settings import SettingsError
from app.settings.auth import read_auth
from app.settings.environment import EnvironmentReader, environment

LIFETIME_MAX: Final = 86_400  # seconds; such a token cannot be revoked


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "token",
        help="make a token with BETTER_AUTH_SECRET",
        description="Make a token (HS256) that this service accepts. Needs BETTER_AUTH_SECRET.",
    )
    parser.add_argument(
        "--user", required=True, metavar="ID", help="whose token: the subject, 1 to 255 characters"
    )
    parser.add_argument(
        "--ttl", type=_parse_lifetime, default="15m", help="how long it lasts: 90s, 15m, 8h, at most 1d"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a token."""
    reader = EnvironmentReader(environment())
    auth = read_auth(reader)
    if auth is not None and auth.secret is None:
        reader.add(
            "BETTER_AUTH_SECRET", "is not set, and a token is signed with it: set it, or sign in instead"
        )
    if auth is None or reader.errors:
        raise SettingsError(reader.errors)
    try:
        print(issue_token(auth, user_id=arguments.user, lifetime=arguments.ttl))
    except ValueError as error:
        raise SettingsError([f"--user {error}"]) from error
    return 0


def _parse_lifetime(text: str) -> int:
    lifetime = parse_seconds(text)
    if lifetime > LIFETIME_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is too long: a token lasts at most 1d")
    return lifetime
