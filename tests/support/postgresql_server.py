"""A real PostgreSQL, which refuses to run as root."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg

from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, wait_until

USER, ADMINISTRATOR = "postgres", "modelplane"
DEBIAN = Path("/usr/lib/postgresql")


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs: of PATH, else the newest that Debian has."""
    newest = max(DEBIAN.glob(f"*/bin/{name}"), default=None, key=lambda path: int(path.parts[-3]))
    executable = shutil.which(name) or (newest and str(newest))
    assert executable, f"{name} is not installed"
    return executable


def unprivileged(*command: str) -> list[str]:
    """``command`` as it may run: as its own user where the tests are root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *command]


class PostgreSQL:
    """A server with its data and its socket in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = (f"store{number}" for number in itertools.count())
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        initdb = [program("initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", ADMINISTRATOR, "-N"]
        self.run(unprivileged(*initdb, "-E", "UTF8", "--locale=C.UTF-8"))
        server = [program("postgres"), "-D", f"{folder}/data", "-k", str(folder), "-c", "listen_addresses="]
        self.process = Process("postgresql", unprivileged(*server), folder / "postgresql.log")

    def run(self, command: Sequence[str]) -> bytes:
        """Output of a program that must succeed."""
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, check=False, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        self.process.start()
        assert wait_until(self._answers), self.process.log_excerpt()

    def new_database(self) -> str:
        """URL of an empty database."""
        name = next(self._names)
        with psycopg.connect(self._connection, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{ADMINISTRATOR}@/{name}?host={self.folder}"

    @property
    def _connection(self) -> str:
        return f"host={self.folder} user={ADMINISTRATOR} dbname=postgres"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._connection).close()
        except psycopg.OperationalError:
            return False
        return True
