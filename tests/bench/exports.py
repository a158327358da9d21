"""Export a million events in the background: memory, seconds, and the bytes of the API.

`python -m tests.bench.exports [rows]`. It is no row of the benchmark, for nothing else does it: the
file has to be what the API's own pages give, and memory must not grow with its rows. A first worker
is killed on the way; what is measured is its successor.
"""

import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import django

from postbacks.infrastructure.database.embedded import EmbeddedServer
from tests.bench import settings

_ROWS = 1_000_000
_ACCEPTED = {"jsonl": "application/jsonl", "csv": "text/csv", "parquet": ""}
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
    if sys.argv[1:] == ["work"]:
        _work()
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
    paths = {}
    for file_format in _ACCEPTED:
        _export(fresh.secret, file_format)
        with tenant(account.organization.pk):
            paths[file_format] = Export.objects.latest("pk").path
        if accepted := _ACCEPTED[file_format]:
            same = _digest(paths[file_format]) == _digest_of_api(fresh.secret, accepted)
            sys.stdout.write(f"  the bytes of the API's own pages: {'yes' if same else 'NO'}\n")
    same = _has_rows_of(paths["parquet"], paths["csv"])
    sys.stdout.write(f"  the rows of the CSV: {'yes' if same else 'NO'}\n")


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
    _kill_one_on_the_way(lambda: int(api.get(address).data["rows"]))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    before, started, processor = _memory("VmRSS"), time.monotonic(), time.process_time()
    export = api.get(address).data
    done, peaks, steps = export["rows"], [], []
    while export["status"] == "running":
        work_on_exports(10.0)
        export = api.get(address).data
        peaks.append(_memory("VmHWM"))
        steps.append(f"{export['percent']}")
    seconds, rows = time.monotonic() - started, export["rows"] - done
    sys.stdout.write(
        f"{file_format}: killed at {done:,} rows; then {export['status']}, {export['rows']:,} "
        f"rows, {export['bytes'] / 1e6:,.0f} MB; {rows:,} rows in {seconds:.0f} s "
        f"({time.process_time() - processor:.0f} s of its processor), {rows / seconds:,.0f}/s; "
        f"memory {before:.0f} MB before, at most {peaks[0]:.0f} MB in the first turn and "
        f"{peaks[-1]:.0f} MB in all; percent {', '.join(steps)}\n"
    )
    sys.stdout.flush()


def _kill_one_on_the_way(rows: Callable[[], int]) -> None:
    """Have another process write, and kill it as soon as some rows are stored."""
    with subprocess.Popen([sys.executable, "-m", "tests.bench.exports", "work"]) as worker:
        while not rows() and worker.poll() is None:
            time.sleep(0.2)
        worker.kill()


def _work() -> None:
    django.setup()

    from tests.workers import work_on_exports

    while True:
        work_on_exports(10.0)


def _has_rows_of(parquet_file: Path, csv_file: Path) -> bool:
    """Tell whether both have the same texts in the same order; amounts and times have types."""
    import pyarrow
    from pyarrow import parquet

    with csv_file.open(newline="") as file:
        rows = csv.DictReader(file)
        for batch in parquet.ParquetFile(parquet_file).iter_batches(10_000):
            names = [field.name for field in batch.schema if field.type == pyarrow.string()]
            for found in batch.select(names).to_pylist():
                row = next(rows)
                if any((found[name] or "") != row[name] for name in names):
                    return False
        return next(rows, None) is None


def _memory(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"{name}:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_api(token: str, accepted: str) -> str:
    digest = hashlib.sha256()
    for chunk in _api_pages(token, accepted):
        digest.update(chunk)
    return digest.hexdigest()


def _api_pages(token: str, accepted: str) -> Iterator[bytes]:
    """Yield the rows of all answers; the heading of CSV once."""
    from django.test import Client

    client = Client(headers={"Authorization": f"Bearer {token}", "Accept": accepted})
    address: str | None = "/api/v1/events"
    is_first = True
    while address:
        answer = client.get(address)
        chunks = iter(answer.streaming_content)
        heading = next(chunks)
        if is_first:
            yield heading
        is_first = False
        yield from chunks
        link = re.match(r"<([^>]+)>", answer.headers.get("Link", ""))
        address = link[1] if link else None


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
    main()
