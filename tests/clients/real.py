"""Real clients of HTTP: curl, the library requests, and `fetch` of Node. Each adds its own headers."""

import json
import shutil
import subprocess
from typing import Any, Protocol

import httpx
import pytest
import requests

NODE = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const { url, ...options } = JSON.parse(line);
  const answer = await fetch(url, options);
  const [headers, text] = [[...answer.headers], await answer.text()];
  console.log(JSON.stringify({ status: answer.status, headers, text }));
}
"""
Headers = dict[str, str]


class RealHttpClient(Protocol):
    """Sends a request and returns the response that it received."""

    def ask(self, method: str, url: str, body: Any, headers: Headers) -> httpx.Response:
        """Send a request."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


class Curl:
    """The program `curl`, started for each request. A POST, PUT or PATCH without a body has `-d ''`."""

    def __init__(self) -> None:
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")

    def ask(self, method: str, url: str, body: Any, headers: Headers) -> httpx.Response:
        content_type = ("-H", "content-type: application/json") if body is not None else ()
        sent = () if method in ("GET", "DELETE") else ("-d", "" if body is None else json.dumps(body))
        options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        command = ("curl", "-s", "-i", "-X", method, *content_type, *sent, *options, url)
        received = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
        head, _, content = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        return httpx.Response(int(status_line.split()[1]), headers=pairs, content=content)

    def close(self) -> None:
        """Do nothing: no connection is open."""


class Requests:
    """The library `requests`, with the body as `json=`."""

    def __init__(self) -> None:
        self._session = requests.Session()

    def ask(self, method: str, url: str, body: Any, headers: Headers) -> httpx.Response:
        response = self._session.request(method, url, json=body, headers=headers, timeout=30)
        return httpx.Response(response.status_code, headers=dict(response.headers), content=response.content)

    def close(self) -> None:
        self._session.close()


class NodeFetch:
    """`fetch` of Node, in one process: requests and responses are lines of JSON."""

    def __init__(self) -> None:
        node = shutil.which("node")
        if node is None:
            pytest.skip("Node is not installed")
        command = (node, "--input-type=module", "-e", NODE)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, method: str, url: str, body: Any, headers: Headers) -> httpx.Response:
        content_type = {} if body is None else {"content-type": "application/json"}
        options = {"url": url, "method": method, "headers": {**content_type, **headers}}
        if body is not None:
            options["body"] = json.dumps(body)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(options)}\n")
        self._process.stdin.flush()
        received = json.loads(self._process.stdout.readline())
        return httpx.Response(
            received["status"], headers=received["headers"], content=received["text"].encode()
        )

    def close(self) -> None:
        self._process.communicate(timeout=30)


REAL: dict[str, type[RealHttpClient]] = {
    "real curl": Curl,
    "real requests": Requests,
    "real fetch of Node": NodeFetch,
}
