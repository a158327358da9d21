"""Export a million events in the background: memory, seconds, and the bytes of the API.

`python -m tests.bench.exports [rows]`. It is no row of the benchmark, for nothing else does it: the
file has to be what the API's own pages give, and memory must not grow with its rows.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import django

from postbacks.infrastructure.database.embedded import EmbeddedServer
from tests.bench import settings

_ROWS = 1_000_000
_COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_name = 'event' AND is_generated = 'NEVER'
"""
_COPY = """
    INSERT INTO event ({columns}) SELECT {copied}
    FROM (SELECT nextval('event_id_seq') AS id,
                 %(newest)s - number * interval '5 milliseconds' AS at
          FROM generate_series(1, %(count)s) AS number) AS fresh, event,
        jsonb_populate_record(event, jsonb_build_object(
            'id', fresh.id, 'event_id', gen_random_uuid(),
            'received_at', fresh.at, 'event_time', fresh.at
        )) AS copy
    WHERE event.id = %(template)s
"""


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else _ROWS
    folder = Path(mkdtemp(prefix="postbacks-exports-"))
    server = EmbeddedServer(folder / "run")
    try:
        settings.apply(server)
        server.start()
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], check=True)
        django.setup()
        _measure(server, rows)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(server: EmbeddedServer, rows: int) -> None:
    # What these import needs Django set up.
    from django.conf import settings as django_settings

    from apps_registry.crypto import keys
    from apps_registry.models import ApiToken
    from apps_registry.roles import Role
    from apps_registry.tenancy import tenant
    from postbacks.models import Event, Export
    from tests.bench.product import Account

    django_settings.ALLOWED_HOSTS = ["testserver"]  # as Django's client calls itself
    account = Account(server, "http://127.0.0.1:9")
    account.record(1)
    fresh = keys.make_key(keys.API_TOKEN)
    with tenant(account.organization.pk):
        values = {"prefix": fresh.prefix, "hash": fresh.hash, "role": Role.OWNER}
        ApiToken.objects.create(name="Exports", **values)
        template = Event.objects.get()
    _fill(server, template, rows)
    sys.stdout.write(f"{rows:,} events are stored.\n")
    for file_format in ("jsonl", "csv", "parquet"):
        _export(fresh.secret, file_format)
        with tenant(account.organization.pk):
            export = Export.objects.latest("pk")
        if file_format == "jsonl":
            same = _digest(export.path) == _digest_of_api(fresh.secret)
            sys.stdout.write(f"  the bytes of the API's own pages: {'yes' if same else 'NO'}\n")
        export.path.unlink()


def _fill(server: EmbeddedServer, template: Any, rows: int) -> None:
    import psycopg
    from psycopg import sql

    from tests.bench.product import DATABASE

    values = {"newest": template.received_at, "count": rows - 1, "template": template.pk}
    with psycopg.connect(server.admin_conninfo(DATABASE), autocommit=True) as connection:
        names = [sql.Identifier(name) for (name,) in connection.execute(_COLUMNS)]
        copied = [sql.SQL("copy.{}").format(name) for name in names]
        lists = {"columns": sql.SQL(", ").join(names), "copied": sql.SQL(", ").join(copied)}
        connection.execute(sql.SQL(_COPY).format(**lists), values)
        connection.execute("VACUUM ANALYZE event")


def _export(token: str, file_format: str) -> None:
    from tests.api.calling import Program
    from tests.workers import work_on_exports

    api = Program(token)
    begun = api.post("exports", {"list": "events", "format": file_format})
    if begun.status != 202:
        raise SystemExit(str(begun.data))
    address = f"exports/{begun.data['id']}"
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    before, started, processor = _memory("VmRSS"), time.monotonic(), time.process_time()
    export: dict[str, Any] = {"status": "running"}
    peaks = []
    while export["status"] == "running":
        work_on_exports(10.0)
        export = api.get(address).data
        peaks.append(_memory("VmHWM"))
    sys.stdout.write(
        f"{file_format}: {export['status']}, {export['rows']:,} rows, "
        f"{export['bytes'] / 1e6:,.0f} MB in {time.monotonic() - started:.0f} s "
        f"({time.process_time() - processor:.0f} s of its processor), {len(peaks)} turns; "
        f"memory {before:.0f} MB before, at most {peaks[0]:.0f} MB in the first turn and "
        f"{peaks[-1]:.0f} MB in all\n"
    )


def _memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"{name}:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_api(token: str) -> str:
    digest = hashlib.sha256()
    for chunk in _api_pages(token):
        digest.update(chunk)
    return digest.hexdigest()


def _api_pages(token: str) -> Iterator[bytes]:
    from django.test import Client

    client = Client(headers={"Authorization": f"Bearer {token}", "Accept": "application/jsonl"})
    address: str | None = "/api/v1/events"
    while address:
        answer = client.get(address)
        yield from answer.streaming_content
        link = re.match(r"<([^>]+)>", answer.headers.get("Link", ""))
        address = link[1] if link else None


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
    main()
