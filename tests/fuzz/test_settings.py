"""Any environment gives usable settings, or errors with the names of their variables."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from app.composition import compose
from app.settings import Settings, SettingsError
from app.settings.database_address import DatabaseAddress, MalformedAddress
from tests.fuzz.effort import effort
from tests.fuzz.near import changed, texts
from tests.support.people import SECRET

ADDRESS = (
    "postgresql://ann:p%40ss@ep-x-pooler.region.aws.neon.tech:5432/db?sslmode=require&channel_binding=require"
)
ADDRESSES = (
    ADDRESS,
    "postgres://a@[::1]:5433/d?pgbouncer=true&application_name=x",
    "postgresql://a@h/d?sslrootcert=system",
)
GOOD = {
    "DATABASE_URL": ADDRESS,
    "DATABASE_URL_DIRECT": ADDRESSES[1],
    "BETTER_AUTH_URL": "https://app.example.com:3000/auth",
    "NEON_AUTH_URL": "https://ep-x.neon.tech/db/auth",
    "BETTER_AUTH_SECRET": SECRET.decode(),
    "JWKS_URL": "http://[::1]:80/jwks",
    "JWT_ISSUER": "https://app.example.com",
    "JWT_AUDIENCE": "us",
    "CORS_ORIGINS": "https://app.example.com, http://localhost:3000",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "WEB_CONCURRENCY": "2",
    "ALLOWED_HOSTS": "*.example.com,[::1]",
    "MAX_TASKS": "100000",
    "REQUIRE_IF_MATCH": "1",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}
OPTIONAL = (
    "NEON_AUTH_URL",
    "JWKS_URL",
    "BETTER_AUTH_URL",
    "JWT_ISSUER",
    "DATABASE_URL_DIRECT",
    "ALLOWED_HOSTS",
)


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Draw valid settings, at most two of them changed."""
    absent = draw(st.sets(st.sampled_from(OPTIONAL)))
    if draw(st.booleans()):
        absent.add("NEON_AUTH_URL")  # more often than the others, since it contradicts BETTER_AUTH_URL
    env = {name: value for name, value in GOOD.items() if name not in absent}
    for name in draw(st.sets(st.sampled_from(sorted(GOOD)), max_size=2)):
        env[name] = draw(changed(GOOD[name], texts) | texts)
    return env


@given(env=environments())
@example(env={**GOOD, "PORT": "9" * 5000})
@example(env={**GOOD, "HOST": "a..b"})
@example(env={**GOOD, "NEON_AUTH_URL": "", "CORS_ORIGINS": "https://\ud800.example.com"})
@effort(300)
def test_any_environment_gives_settings_or_errors_with_the_names_of_their_variables(
    env: dict[str, str],
) -> None:
    try:
        settings = Settings.from_env(env)
    except SettingsError as error:
        assert error.errors
        assert all(fault.split()[0] in GOOD for fault in error.errors)
        assert SECRET.decode() not in str(error)
        return

    app = compose(settings)

    assert app.litestar.routes


@given(url=st.sampled_from(ADDRESSES).flatmap(lambda good: changed(good, texts)))
@example(url=f"postgresql://a@h/d?sslrootcert={'x' * 5000}")
@example(url="postgresql://a@h/d%00")
@example(url="postgresql://a:%00@h/d")
@example(url="postgresql://a@h/d?application_name=%00")
@example(url="postgresql://a@a..b/d")
@example(url="postgresql://a@ep-x-pooler.ep-x-pooler.aws.neon.tech/d")
@example(url="postgresql://a@ep-x-pooler-pooler.aws.neon.tech/d")
@effort(500)
def test_a_text_like_a_database_url_is_accepted_or_refused_with_a_reason(url: str) -> None:
    try:
        address = DatabaseAddress.parse(url)
    except MalformedAddress as error:
        assert str(error)
        return

    for text in (
        address.host,
        address.user,
        address.password or "",
        address.database,
        address.application_name,
    ):
        assert "\0" not in text
        text.encode()  # the server gets UTF-8
    address.host.encode("idna")  # the resolver encodes the host like this
    assert 1 <= address.port <= 65535
    assert address.direct().direct() == address.direct()


@given(password=st.text("pw0?#/@:[]%&=", min_size=6, max_size=12), rest=st.sampled_from(ADDRESSES))
@example(password="0?0000", rest=ADDRESS)
@effort(400)
def test_an_error_does_not_show_a_password_even_if_it_is_not_percent_encoded(
    password: str, rest: str
) -> None:
    url = re.sub(r"://.*@", lambda _: f"://ann:{password}@", rest)

    try:
        DatabaseAddress.parse(url)
    except MalformedAddress as error:
        quoted = {password[start : start + 4] for start in range(len(password) - 3)}
        assert not any(part in str(error) for part in quoted)
