"""How many connections a worker accepts at once, within its limit on open files.

A worker that runs out of descriptors cannot accept a connection and retries without end. So its limit on
connections is below its limit on open files.
"""

import resource
from typing import Final

from app.settings import SettingsError

CONNECTIONS_MAX: Final = 4096  # open in a worker at once; more wait in the kernel's queue until one closes
CONNECTIONS_MIN: Final = 64  # with fewer, the service does not start
RESERVED: Final = 64  # other open files of a worker: code, log, event loops, keys, traces


def connections_within_limit(pool_size: int) -> tuple[int, str | None]:
    """Raise the soft limit on open files to what a worker needs, as far as the hard limit allows.

    Return the maximum of connections of each worker, and a warning if it is below CONNECTIONS_MAX. Processes
    that start afterwards inherit the limit on open files.

    Raises:
        SettingsError: the hard limit leaves fewer than CONNECTIONS_MIN.
    """
    needed = CONNECTIONS_MAX + pool_size + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit == needed:
        return CONNECTIONS_MAX, None
    connections = limit - pool_size - RESERVED
    remedy = f"raise its hard limit (`ulimit -Hn`, LimitNOFILE= in systemd) to {needed} or more"
    if connections < CONNECTIONS_MIN:
        raise SettingsError([f"a process may open {limit} files here, too few to take connections: {remedy}"])
    return connections, (
        f"a process may open {limit} files here, so each worker takes {connections} connections at once"
        f" instead of {CONNECTIONS_MAX}: {remedy}"
    )
