"""``modelplane alerts``: list, replay, prune and back up the alert store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, STATUSES
from modelplane_datasource.alerts.payloads import PayloadError, parse_payload
from modelplane_datasource.alerts.store import AlertFilter, AlertStore, StoreError
from modelplane_datasource.settings import PREFIX, Settings
from modelplane_datasource.timeline.times import DAY, format_rfc3339

_SQLITE = "sqlite:///"
_DEFAULTS = Settings()

_database = click.option(
    "--database-url", default=_DEFAULTS.database_url, show_default=True, envvar=f"{PREFIX}DATABASE_URL",
    help="Database of the backend; the environment has it as for the backend.",
)  # fmt: skip


@click.group()
def alerts() -> None:
    """Look after the history of alerts.

    Example: modelplane alerts list
    """


@alerts.command("list")
@_database
@click.option("--tenant", "tenants", multiple=True, help="Only alerts of this tenant; repeatable.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Repeatable.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
def list_alerts(database_url: str, tenants: tuple[str, ...], statuses: tuple[str, ...], limit: int) -> None:
    """Print the newest alerts.

    Example: modelplane alerts list --status firing
    """
    with _store(database_url) as store:
        episodes = store.alerts(AlertFilter(tenant_ids=tenants, statuses=statuses, limit=limit))
    table = Table("started", "ended", "status", "alert", "severity", "tenant", "model", "version")
    for episode in episodes:
        end = "" if episode.ends_at is None else f"{format_rfc3339(episode.ends_at)} {episode.reason}"
        table.add_row(
            format_rfc3339(episode.starts_at), end, episode.status, episode.alertname, episode.severity,
            episode.tenant_id, episode.model_name, episode.model_version,
        )  # fmt: skip
    Console().print(table)


@alerts.command()
@_database
@click.option("--from-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Add the notifications of this file, one JSON object a line, instead.")  # fmt: skip
@click.option(
    "--source", default=DEFAULT_SOURCE, show_default=True, help="Alertmanager that sent the file's."
)
def replay(database_url: str, from_file: Path | None, source: str) -> None:
    """Compute the history of alerts anew from the stored notifications.

    The backend may run meanwhile: it answers notifications with 503, and Alertmanager sends them again.

    Example: modelplane alerts replay --database-url sqlite:///modelplane.db
    """
    with _store(database_url, may_create=from_file is not None) as store:
        report = _replay_store(store) if from_file is None else _replay_file(store, from_file, source)
    click.echo(report)


@alerts.command()
@_database
@click.option("--days", required=True, type=click.IntRange(1, 36_500), help="Keep what is younger.")
def prune(database_url: str, days: int) -> None:
    """Delete notifications, and alerts that ended, longer ago than some days.

    Example: modelplane alerts prune --days 400
    """
    with _store(database_url) as store:
        deleted = store.prune(_now() - days * DAY)
    click.echo(f"{deleted} rows were deleted.")


@alerts.command()
@_database
@click.argument("target", type=click.Path(path_type=Path))
def backup(database_url: str, target: Path) -> None:
    """Copy a SQLite database, also while the backend runs, to the new file TARGET.

    To restore, stop the backend, remove its database with the files that end in -wal and -shm, and put the
    copy in its place. PostgreSQL has pg_dump and psql.

    Example: modelplane alerts backup /backups/modelplane-2026-01-31.db
    """
    if target.exists():
        raise click.ClickException(f"{target} exists; allowed: a file that does not")
    with _store(database_url) as store:
        store.back_up(str(target))
    click.echo(f"{target} has {target.stat().st_size} bytes.")


@contextmanager
def _store(database_url: str, may_create: bool = False) -> Iterator[AlertStore]:
    path = Path(database_url.removeprefix(_SQLITE))
    if database_url.startswith(_SQLITE) and not may_create and not path.exists():
        raise click.ClickException(f"{path} does not exist; --database-url names the backend's database")
    try:
        store = AlertStore(database_url, _DEFAULTS.max_raw_bodies)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def _replay_store(store: AlertStore) -> str:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("notifications", total=None)
        done = store.replay(lambda count, total: progress.update(task, completed=count, total=total))
    return (
        f"{done.payloads} bodies were read, {done.raw} of them without sense: "
        f"{done.observations} observations make {done.episodes} episodes."
    )


def _replay_file(store: AlertStore, path: Path, source: str) -> str:
    stored = raw = 0
    with Progress(console=Console(stderr=True)) as progress, progress.open(path, "rb") as lines:
        for line in filter(None, map(bytes.strip, lines)):
            now = _now()
            try:
                store.record(line, parse_payload(line, source, now), now, source)
                stored += 1
            except PayloadError:
                store.record_raw(line, now, source)
                raw += 1
    return f"{stored} notifications were stored, {raw} lines were stored raw."


def _now() -> int:
    return int(time.time() * 1000)
