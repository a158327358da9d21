"""Lets the demo's events have arrived when they happened.

The demo sends a simulated day within seconds, which the pictures of a day would show as one bar.
"""

from pathlib import Path

import psycopg

from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer

# As superuser: the day before needs its partitions, and what happened is nobody's to change.
_SPREAD = """
SELECT ensure_partitions(current_date - 1, 1);

CREATE TEMPORARY TABLE moved AS
SELECT organization_id, id, received_at AS arrived,
       greatest(least(event_time, received_at), received_at - interval '23 hours 30 minutes')
           + interval '80 milliseconds' AS happened
FROM event;
ANALYZE moved;

UPDATE delivery_attempt AS attempt SET
    event_received_at = happened, started_at = started_at - (arrived - happened)
FROM moved JOIN postback USING (organization_id)
WHERE postback.event_id = moved.id AND attempt.postback_id = postback.id;

UPDATE postback SET
    event_received_at = happened, created_at = created_at - (arrived - happened),
    delivered_at = delivered_at - (arrived - happened)
FROM moved WHERE postback.event_id = moved.id;

UPDATE install SET event_received_at = happened
FROM moved WHERE install.event_ref = moved.id;

UPDATE event SET received_at = happened FROM moved WHERE event.id = moved.id;

ANALYZE;
"""


def spread(data_folder: Path) -> None:
    """Move what the demo in this data folder received to the time of each event."""
    server = EmbeddedServer(data_folder)
    with psycopg.connect(server.admin_conninfo(DATABASE), autocommit=True) as connection:
        connection.execute("SET search_path = public")
        with connection.transaction():
            connection.execute(_SPREAD)
