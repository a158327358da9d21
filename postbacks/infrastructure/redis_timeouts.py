"""How long a call waits for Redis before it goes on without it."""

from redis.backoff import NoBackoff
from redis.retry import Retry

# Once more: a connection that lay idle may have been closed by a server that is there.
REDIS_PATIENCE: dict[str, object] = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 0.5,
    "retry": Retry(NoBackoff(), 1),
}
