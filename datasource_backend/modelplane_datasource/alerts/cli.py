"""``modelplane alerts``: replay, prune and back up the alert store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE
from modelplane_datasource.alerts.payloads import PayloadError, parse_payload
from modelplane_datasource.alerts.store import AlertStore, StoreError
from modelplane_datasource.settings import PREFIX, Settings
from modelplane_datasource.timeline.times import DAY

_SQLITE = "sqlite:///"
_DEFAULTS = Settings()

database_option = click.option(
    "--database-url", default=_DEFAULTS.database_url, show_default=True, envvar=f"{PREFIX}DATABASE_URL",
    help="Database of the backend; the environment has it as for the backend.",
)  # fmt: skip


@click.group()
def alerts() -> None:
    """Look after the history of alerts.

    Example: modelplane alerts list
    """


@alerts.command()
@database_option
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
    with open_store(database_url, may_create=from_file is not None) as store:
        report = _replay_store(store) if from_file is None else _replay_file(store, from_file, source)
    click.echo(report)


@alerts.command()
@database_option
@click.option("--days", required=True, type=click.IntRange(1, 36_500), help="Keep what is younger.")
def prune(database_url: str, days: int) -> None:
    """Delete notifications, and alerts that ended, longer ago than some days.

    Example: modelplane alerts prune --days 400
    """
    with open_store(database_url) as store:
        deleted = store.prune(_now() - days * DAY)
    click.echo(f"{deleted} rows were deleted.")


@alerts.command()
@database_option
@click.argument("target", type=click.Path(path_type=Path))
def backup(database_url: str, target: Path) -> None:
    """Copy a SQLite database, also while the backend runs, to the new file TARGET.

    To restore, stop the backend, remove its database with the files that end in -wal and -shm, and put the
    copy in its place. PostgreSQL has pg_dump and psql.

    Example: modelplane alerts backup /backups/modelplane-2026-01-31.db
    """
    if target.exists():
        raise click.ClickException(f"{target} exists; allowed: a file that does not")
    with open_store(database_url) as store:
        store.back_up(str(target))
    click.echo(f"{target} has {target.stat().st_size} bytes.")


@contextmanager
def open_store(database_url: str, may_create: bool = False) -> Iterator[AlertStore]:
    """The alert store behind a URL; click.ClickException when there is none."""
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
