"""Origins are converted to the form that browsers and Better Auth use, also for host names beyond ASCII."""

import json
import shutil
import subprocess

import pytest

from app.settings import Settings
from app.settings.addresses import origin, origins, web_address

DATABASE = "postgresql://ann@localhost/db"
ORIGINS = {
    "https://app.example.com": "https://app.example.com",
    "HTTPS://App.Example.COM:443/x": "https://app.example.com",
    "http://localhost:3000/": "http://localhost:3000",
    "http://[2001:DB8::1]:80": "http://[2001:db8::1]",
    "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    "https://my_app.example.com": "https://my_app.example.com",
    "https://aufgaben.müller.example": "https://aufgaben.xn--mller-kva.example",
    "https://straße.example": "https://xn--strae-oqa.example",
    "https://BÜCHER.example:8443": "https://xn--bcher-kva.example:8443",
    "https://例え.テスト": "https://xn--r8jz45g.xn--zckzah",
    "https://почта.рф": "https://xn--80a1acny.xn--p1ai",
    "https://i❤.example": "https://xn--i-7iq.example",
    "https://café.example": "https://xn--caf-dma.example",
    "https://ｆｕｌｌ.example": "https://full.example",
    "https://a。b.example": "https://a.b.example",
}


@pytest.mark.parametrize("text", ORIGINS)
def test_an_origin_is_converted_to_ascii(text: str) -> None:
    assert origin(web_address(text)) == ORIGINS[text]


@pytest.mark.server
def test_node_converts_each_origin_to_the_same_ascii() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    script = "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(text => new URL(text).origin)))"

    done = subprocess.run(
        [node, "-e", script, json.dumps(list(ORIGINS))], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == list(ORIGINS.values())


def test_an_idn_host_of_better_auth_is_converted_to_ascii_in_issuer_keys_and_origin() -> None:
    settings = Settings.from_env({"DATABASE_URL": DATABASE, "BETTER_AUTH_URL": "https://Müller.example"})

    ascii_name = "https://xn--mller-kva.example"
    assert (settings.auth.issuer, settings.auth.audience) == (ascii_name, ascii_name)
    assert settings.auth.jwks_url == f"{ascii_name}/api/auth/jwks"
    assert settings.cors_origins == (ascii_name,)


def test_allowed_hosts_are_converted_to_ascii() -> None:
    names = {
        "DATABASE_URL": DATABASE,
        "BETTER_AUTH_URL": "https://a.example",
        "ALLOWED_HOSTS": "API.müller.example,*.b.example",
    }

    assert Settings.from_env(names).server.allowed_hosts == frozenset(
        {"api.xn--mller-kva.example", "*.b.example"}
    )


def test_an_origin_with_a_wildcard_label_is_accepted() -> None:
    listed = " https://*.example.com, http://*.App.localhost:3000 ,https://*.müller.example, https://app.example.com"

    assert origins(listed) == (
        "https://*.example.com",
        "http://*.app.localhost:3000",
        "https://*.xn--mller-kva.example",
        "https://app.example.com",
    )


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "https://*",
        "https://*.com",
        "https://*.*.example.com",
        "https://a*.example.com",
        "https://a.*.example.com",
        "https://*.example.com/x",
        "*.example.com",
        "https://*.",
        "https://user@*.example.com",
        "https://*example.com",
        f"https://{'ü' * 70}.example",
    ],
)
def test_an_invalid_or_too_broad_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        origins(text)


@pytest.mark.parametrize("text", ["https://*.example.com", "https://\ud800.example"])
def test_a_text_that_is_not_a_single_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a URL"):
        web_address(text)
