"""Gauges sampled from the pool, the token cache, the key set, the rate limits and the event streams."""

import time

from app.domain.rate_limit import RequestCounter
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwt_verifier import TokenCache
from app.infra.postgres.database import Database
from app.live.hub import Hub


def sample_gauges(
    database: Database, keys: Jwks | None, tokens: TokenCache, store: RequestCounter | None, hub: Hub
) -> dict[str, float]:
    """Return gauges and counters, by the names of `app.metrics`. Parts that are not in use are left out."""
    pool = database.counts()
    gauges = {
        "taskward_workers": 1.0,
        "taskward_database_pool_size": pool.size,
        "taskward_database_connections_lent": pool.in_use,
        "taskward_database_connections_idle": pool.idle,
        "taskward_database_connections_opening": pool.opening,
        "taskward_database_requests_waiting": pool.waiting,
        "taskward_walls_up": float(database.walls_trouble is None),
        "taskward_database_statements_prepared": float(database.prepares),
        "taskward_event_streams": len(hub),
        "taskward_token_cache_entries": len(tokens),
        "taskward_token_cache_hits_total": tokens.hits,
        "taskward_token_cache_misses_total": tokens.misses,
    }
    if keys is not None:
        age = keys.age
        gauges |= {
            "taskward_keys": keys.count,
            "taskward_keys_last_success_timestamp_seconds": 0.0 if age is None else time.time() - age,
            "taskward_keys_fetches_total": keys.fetches,
            "taskward_keys_fetch_failures_total": keys.failures,
        }
    if store is not None:
        gauges["taskward_rate_limit_store_up"] = float(store.trouble is None)
    if hub.store_connected is not None:
        gauges["taskward_live_store_up"] = float(hub.live)
    return gauges
