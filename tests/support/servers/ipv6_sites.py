"""Runs docs/examples/nginx.conf under IPv6, in its own network namespace: `unshare --map-root-user --net`.

One address sends as many unfinished requests as nginx allows at once (`CAP`). Then another address of the same /64
network sends a request, and so does an address of another network. There is no service behind nginx, so nginx answers
503 to a request that it lets through.
"""

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support import certificates
from tests.support.servers.reverse_proxies import NAME, NGINX_FOLDERS, edited, program

CAP = 64  # concurrent requests of one network that docs/examples/nginx.conf allows
ONE = "fd00:1::1"
SAME_NETWORK = "fd00:1:0:0:8000::1"  # its first 64 bits are those of ONE
OTHER_NETWORK = "fd00:1:0:1::1"  # only its first 63 bits are those of ONE
PORT = 8099
UNFINISHED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"


def main(folder: Path) -> None:
    """Print the statuses that the two later requests get."""
    certificates.make(folder, NAME)
    ip = program("ip")
    subprocess.run([ip, "link", "set", "lo", "up"], check=True)
    for address in (ONE, SAME_NETWORK, OTHER_NETWORK):
        subprocess.run([ip, "-6", "address", "add", f"{address}/64", "dev", "lo", "nodad"], check=True)
    changes = {
        "http {\n": "http {\n" + NGINX_FOLDERS.format(folder=folder),
        "listen 443 ssl http2": f"listen [::]:{PORT}",
        "/etc/ssl/tasks.example.com.crt": f"{folder}/server.crt",
        "/etc/ssl/private/tasks.example.com.key": f"{folder}/server.key",
    }
    (folder / "nginx.conf").write_text(edited("nginx.conf", changes))
    process = f"daemon off; pid {folder}/nginx.pid; error_log stderr; user root;"
    nginx = subprocess.Popen([program("nginx"), "-c", str(folder / "nginx.conf"), "-g", process])
    try:
        with ExitStack() as stack:
            for _ in range(CAP):
                stack.enter_context(connect_from(ONE)).sendall(UNFINISHED)
            time.sleep(0.5)  # until nginx has read all of them
            statuses = {"same network": status_of(SAME_NETWORK), "other network": status_of(OTHER_NETWORK)}
    finally:
        nginx.terminate()
        nginx.wait()
    sys.stdout.write(json.dumps(statuses))


def connect_from(address: str) -> socket.socket:
    """Connect from an address, as soon as nginx listens and the kernel has the address's route.

    Linux adds the route of a new IPv6 address in the background, so the network is unreachable for a moment.
    """
    deadline = time.monotonic() + 10
    while True:
        client = socket.socket(socket.AF_INET6)
        client.settimeout(5)
        try:
            client.bind((address, 0))
            client.connect((ONE, PORT))
        except OSError:
            client.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return client


def status_of(address: str) -> int:
    """Send a request from an address, and return the status of its response."""
    with connect_from(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return int(client.recv(12).split()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
