"""`Idempotency-Key`, as clients send it: draft-ietf-httpapi-idempotency-key-header-07."""

import re
from typing import Any, Final

from litestar import Request

from app.api.headers import lines

KEY_HEADER: Final = "Idempotency-Key"
KEY_MAX: Final = 255  # characters

_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)  # a String of RFC 8941 §3.3.3
_BARE: Final = re.compile(
    r"[!#-+\--:<-\[\]-~]+", re.ASCII
)  # visible, and nothing that a list or a String is made of
_ESCAPED: Final = re.compile(r"\\(.)")


def read_key(request: Request[Any, Any, Any]) -> str | None:
    """Return the key, without the quotes in which the draft wants it and many clients do not send it.

    Raises:
        ValueError: it is not one key.

    """
    given = lines(request, KEY_HEADER.lower().encode())
    if not given:
        return None
    if len(given) > 1:
        raise ValueError("is given more than once")
    if quoted := _QUOTED.fullmatch(given[0]):
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(given[0]):
        key = given[0]
    else:
        raise ValueError(
            'must be one string of visible ASCII, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"'
        )
    if not 1 <= len(key) <= KEY_MAX:
        raise ValueError(f"must have 1 to {KEY_MAX} characters")
    return key
