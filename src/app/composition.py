"""Composition root: builds every part and passes it to the parts that need it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.types import ControllerRouterHandler

from app import logs
from app.api.backpressure import ByteBudget, LargeBodies, LargeResponses
from app.api.context import AppState
from app.api.docs import DOCS_HANDLERS
from app.api.health import alive, readiness
from app.api.middleware.authentication import AuthenticationMiddleware
from app.api.middleware.client_addresses import ClientAddresses
from app.api.middleware.outermost import Edge
from app.api.middleware.response_headers import PROBLEMS_PATH, Cors
from app.api.middleware.telemetry import Telemetry
from app.api.openapi import document as openapi
from app.api.problem_pages import PROBLEM_HANDLERS
from app.api.problems import InvalidRequest, on_domain_error, on_http_error, on_invalid_request, on_unexpected
from app.api.requests.request import BODIES_OF_ALL, BODIES_OF_ONE
from app.api.requests.task_bodies import BODY_MAX
from app.api.tasks import TaskController
from app.domain.clock import Clock, utc_now
from app.domain.errors import DomainError
from app.domain.idempotency import StorageQuota
from app.domain.identity import TokenVerifier
from app.domain.rate_limit import MemoryCounter, Policy, RateLimit, RequestCounter
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwt_verifier import JwtVerifier
from app.infra.gauges import sample_gauges
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import PersonConcurrency
from app.infra.tasks import NeonUnitsOfWork
from app.live.change_marks import inherited_marks
from app.live.hub import Hub
from app.settings import Settings
from app.settings.live import LiveSettings
from app.settings.rate_limits import RateLimits
from app.supervision import Worker

if TYPE_CHECKING:  # the process imports these only where metrics or tracing is on
    from app.infra.live_store import LiveStore
    from app.metrics import Metrics
    from app.tracing import Tracing


def compose(
    settings: Settings,
    *,
    verifier: TokenVerifier | None = None,
    clock: Clock = utc_now,
    metrics: "Metrics | None" = None,
    tracing: "Tracing | None" = None,
) -> Edge:
    """Build the application.

    Tests pass their own verifier and clock; `app.main` passes metrics and tracing.
    """
    database = Database(settings.database, timeout=settings.request_timeout, pool_size=settings.pool_size)
    hub = Hub(inherited_marks(), remembers=not settings.live.several_machines)
    live_store = _make_live_store(settings.live, hub)
    worker = Worker(on_leaving=hub.leave)
    keys = Jwks(settings.auth.jwks_url) if settings.auth.jwks_url else None
    tokens = JwtVerifier(settings.auth, keys)
    verifier = verifier or tokens
    telemetry = Telemetry(metrics, tracing)
    counts = _make_counter(settings.rate_limits)
    person_limit, address_limit = _make_limits(settings.rate_limits, counts)

    units_of_work = NeonUnitsOfWork(
        database=database,
        concurrency=PersonConcurrency(settings.person_concurrency),
        clock=clock,
        max_tasks=settings.max_tasks,
        storage_quota=StorageQuota(settings.max_keys, settings.max_kept_mb * 1024 * 1024),
        trace=None if tracing is None else tracing.statement,
        announce=hub.announce,
    )

    async def keys_trouble() -> str | None:
        return None if keys is None else keys.trouble

    async def store_trouble() -> str | None:
        return counts.trouble

    async def live_store_trouble() -> str | None:
        return None if live_store is None else live_store.trouble

    uses_store = settings.rate_limits.is_on and settings.rate_limits.store is not None

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(logs.end)
            stack.push_async_callback(database.close)
            await database.open()
            stack.callback(hub.close)
            hub.hear_of_everyone()  # a worker that was killed may not have announced its last write
            for part in (counts, live_store, keys):
                if part is not None:
                    stack.push_async_callback(part.close)
                    await part.start()
            await stack.enter_async_context(telemetry.run(read_gauges))
            # The last, because it says that the worker has started.
            await stack.enter_async_context(worker.watch_main_process())
            yield

    read_gauges = partial(sample_gauges, database, keys, tokens.cache, counts if uses_store else None, hub)
    handlers: list[ControllerRouterHandler] = [
        TaskController,
        alive,
        readiness(
            {"database": database.trouble, "keys": keys_trouble, "process": worker.trouble},
            optional={
                **({"rate_limit_store": store_trouble} if uses_store else {}),
                **({"live_store": live_store_trouble} if live_store is not None else {}),
            },
        ),
    ]
    document = openapi.document_of(handlers, version("taskward"))
    app = Litestar(
        route_handlers=[*handlers, openapi.route_to(document), *DOCS_HANDLERS, *PROBLEM_HANDLERS],
        middleware=[DefineMiddleware(AuthenticationMiddleware, verifier=verifier, limit=person_limit)],
        exception_handlers={
            DomainError: on_domain_error,
            InvalidRequest: on_invalid_request,
            HTTPException: on_http_error,
            Exception: on_unexpected,
        },
        openapi_config=None,
        request_max_body_size=BODY_MAX,
        lifespan=[lifespan],
        logging_config=None,
    )
    telemetry.start_failures_at_zero(app.routes)
    return Edge(
        app,
        document,
        cors=Cors(settings.cors_origins),
        hosts=settings.server.allowed_hosts,
        telemetry=telemetry,
        worker=worker,
        app_state=AppState(
            unit_of_work_of=units_of_work.of,
            unit_of_work_of_stream=replace(units_of_work, concurrency=PersonConcurrency(1)).of,
            bodies=ByteBudget(of_one=BODIES_OF_ONE, of_all=BODIES_OF_ALL),
            large_bodies=LargeBodies(),
            large_responses=LargeResponses(),
            problem_base=settings.problem_base_url or PROBLEMS_PATH,
            require_if_match=settings.require_if_match,
            body_timeout=settings.body_timeout,
            hub=hub,
            verifier=verifier,
            shutdown_delay=settings.server.shutdown_delay,
        ),
        clients=ClientAddresses(settings.rate_limits.trusted_proxies),
        limit=address_limit,
    )


def _make_counter(settings: RateLimits) -> RequestCounter:
    """Return a counter in this process, or in a store that processes share."""
    own = MemoryCounter()
    if settings.store is None or not settings.is_on:
        return own
    from app.infra.redis_counter import RedisCounter  # noqa: PLC0415 - few deployments need a Redis client

    return RedisCounter(settings.store, own, ca_file=settings.store_ca)


def _make_live_store(settings: LiveSettings, hub: Hub) -> "LiveStore | None":
    if settings.store is None:
        return None
    from app.infra.live_store import LiveStore  # noqa: PLC0415 - few deployments need a Redis client

    return LiveStore(settings.store, hub, ca_file=settings.store_ca)


def _make_limits(settings: RateLimits, counts: RequestCounter) -> tuple[RateLimit | None, RateLimit | None]:
    """Return the rate limits per person and per address; None: no limit."""
    if not settings.is_on:
        return None, None
    person, address = settings.person, settings.address
    return (
        RateLimit(Policy("person", person.requests, person.seconds), counts),
        RateLimit(Policy("address", address.requests, address.seconds), counts),
    )
