"""Checks before timing that every server gives the same response to the same request."""

from datetime import datetime
from typing import Any, Final

import httpx

from benchmarks.scenes import TITLE, Owner

WRONG: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"title": ""},
    {"title": "x" * 256},
    {"title": 1},
    {"title": "x", "description": "x" * 10_001},
    {"title": "x", "completed": "maybe"},
)
"""Bodies that a server with validation refuses."""


class Disagreement(Exception):
    """A server answers something else than it should."""


def collect_answers(url: str, ann: Owner, bob: Owner, forged: str, *, checks: bool) -> list[Any]:
    """Return a server's responses about the data set, in a form that can be compared.

    `checks`: whether the server validates bodies. Ann and Bob are people of the data set.

    Raises:
        Disagreement: it accepts a request that it must refuse, or a write does not do what it should.
    """
    with httpx.Client(base_url=url, timeout=10) as client:

        def ask(method: str, path: str, token: str, **more: Any) -> httpx.Response:
            return client.request(method, path, headers={"authorization": f"Bearer {token}"}, **more)

        _expect("a forged token", ask("GET", ann.path, forged), 401)
        _expect("another's list", ask("GET", bob.path, ann.token), 403)
        foreign = f"{ann.path}/{bob.task_ids[0]}"
        _expect("another's task", ask("GET", foreign, ann.token), 404)
        _expect("toggling another's task", ask("PATCH", f"{foreign}/complete", ann.token), 404)
        if checks:
            for wrong in WRONG:
                refused = ask("POST", bob.path, bob.token, json=wrong)
                if not refused.is_client_error:
                    raise Disagreement(f"{wrong} got {refused.status_code}: {refused.text[:200]}")
        seen = [ask("GET", f"{ann.path}?limit={limit}", ann.token) for limit in (1, 50, 200)]
        seen += [ask("GET", f"{ann.path}/{task_id}", ann.token) for task_id in ann.task_ids[:20]]
        bodies = [_plain(_expect("a read", response, 200).json()) for response in seen]
        # Bob writes, so that Ann's tasks stay comparable.
        task = f"{bob.path}/{bob.task_ids[0]}"
        first, second = (
            _expect("toggle", ask("PATCH", f"{task}/complete", bob.token), 200).json() for _ in range(2)
        )
        if first["completed"] is second["completed"] or second != ask("GET", task, bob.token).json():
            raise Disagreement("a toggle does not change `completed`")
        body = {"title": TITLE, "description": 'A "quote", an é\nand 日本'}
        created = _expect("create", ask("POST", bob.path, bob.token, json=body), 201).json()
        if _plain(created) != _plain(ask("GET", f"{bob.path}/{created['id']}", bob.token).json()):
            raise Disagreement("a created task differs from the response to its creation")
        chosen_by_server = {"id": "", "position": "", "created_at": "", "updated_at": ""}
        names_of_members = sorted(first)
        return [*bodies, {**created, **chosen_by_server}, names_of_members]


def _expect(what: str, response: httpx.Response, status: int) -> httpx.Response:
    if response.status_code != status:
        raise Disagreement(f"{what} got {response.status_code}, not {status}: {response.text[:200]}")
    return response


def _plain(value: Any) -> Any:
    """Write all times in one format, to the millisecond, because JavaScript has no finer times."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {
        name: _moment(member) if name.endswith("_at") and member else member for name, member in value.items()
    }


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).isoformat(timespec="milliseconds")
