"""Run containers of a compose.yaml without an engine: a test double of what Docker does with the file.

Each has a root of its own with what the file mounts there, its user, no capabilities and no new privileges.
Programs and libraries are those of this machine. All share one network namespace, in which the names of
services are loopback. Needs root.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelplane_provisioning.processes import Process

ROOT = Path(__file__).parents[2]
Service = Mapping[str, Any]
_SYSTEM_FOLDERS = ("usr", "dev", "proc", "sys", "opt")
_SYSTEM_LINKS = ("bin", "sbin", "lib", "lib64", "lib32")
_ETC = ("passwd", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl", "localtime", "mime.types")
_VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")  # its default stands for it
_WITH_LOOPBACK = """
import fcntl, signal, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: up and running
print("up", flush=True)
signal.pause()
"""


class CannotRunError(Exception):
    """This machine gives no namespaces; the message says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """A namespace that a process holds open, and the names in it."""

    pid: int
    names: tuple[str, ...]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A program of this machine in the namespace."""
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *command]
        return subprocess.run(enter, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def network(names: Sequence[str]) -> Iterator[Network]:
    """CannotRunError."""
    command = ["unshare", "--net", "--mount", "--propagation", "private", "--", "sh", "-euc"]
    command += ['mount -t tmpfs tmpfs /mnt && exec "$@"', "sh", sys.executable, "-c", _WITH_LOOPBACK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stderr is not None
            if holder.stdout.readline() != "up\n":
                raise CannotRunError(holder.stderr.read().strip())
            yield Network(holder.pid, tuple(names))
        finally:
            holder.kill()


class Container:
    """A service of the file below ``bundle``. ``programs`` is the folder that its image has on PATH."""

    def __init__(
        self,
        name: str,
        service: Service,
        entrypoint: Sequence[str],
        bundle: Path,
        programs: Path,
        network: Network,
    ) -> None:
        self._service = service
        self._network = network
        argv = [*entrypoint, *service.get("command", ())]
        script = "\n".join([*_root(service, bundle, programs, network.names), f"exec {self._as_user(argv)}"])
        command = [
            "nsenter",
            f"--net=/proc/{network.pid}/ns/net",
            "--",
            "unshare",
            "--mount",
            "--propagation",
        ]
        command += ["private", "--", "sh", "-euc", script, "sh", str(bundle.parent / f"root-of-{name}")]
        self.process = Process(name, command, bundle.parent / f"{name}.log")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A program in the container, with the rights of its user."""
        pid = str(self.process.pid)
        enter = ["nsenter", "--target", pid, "--mount", "--net", "--root", "--wd=/", "--", "sh", "-c"]
        enter += [f"exec {self._as_user(command, chroot=False)}"]
        return subprocess.run(enter, capture_output=True, text=True, check=False, timeout=60)

    @property
    def healthy(self) -> bool:
        """What the health check of the file says."""
        kind, *command = self._service["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(*command).returncode == 0

    def _as_user(self, argv: Sequence[str], *, chroot: bool = True) -> str:
        uid, _, gid = self._service["user"].partition(":")
        rights = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        if self._service["cap_drop"] == ["ALL"]:
            rights += ["--bounding-set=-all", "--inh-caps=-all"]
        if "no-new-privileges:true" in self._service["security_opt"]:
            rights.append("--no-new-privs")
        environment = {
            "PATH": f"/programs:{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": ":".join(
                str(ROOT / folder) for folder in ("schema", "alerts", "datasource_backend")
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{
                name: _VARIABLE.sub(r"\1", text)
                for name, text in self._service.get("environment", {}).items()
            },
        }
        variables = [f"{name}={value}" for name, value in environment.items()]
        command = ["setpriv", *rights, "env", "-i", *variables, *argv]
        return f'chroot "$1" {shlex.join(command)}' if chroot else shlex.join(command)


def _root(service: Service, bundle: Path, programs: Path, names: Sequence[str]) -> Iterator[str]:
    """Lines of a shell that make ``$1`` the container's root."""
    yield 'mkdir -p "$1" && mount -t tmpfs -o mode=755 tmpfs "$1" && cd "$1" && mkdir etc tmp programs'
    for folder in _SYSTEM_FOLDERS:
        yield f"mkdir {folder} && mount --rbind /{folder} {folder}"
    for link in _SYSTEM_LINKS:
        yield f"if [ -L /{link} ]; then cp -P /{link} {link}; fi"
    for entry in _ETC:
        yield f"if [ -e /etc/{entry} ]; then cp -rL /etc/{entry} etc/; fi"
    yield f"echo 127.0.0.1 localhost {' '.join(names)} >etc/hosts"
    yield f"mount --bind {shlex.quote(str(programs))} programs"
    for folder in sorted({sys.prefix, sys.base_prefix, str(ROOT)}):
        yield f"mkdir -p .{shlex.quote(folder)} && mount --bind {shlex.quote(folder)} .{shlex.quote(folder)}"
    for volume in service["volumes"]:
        source, target = shlex.quote(str(bundle / volume["source"])), shlex.quote("." + volume["target"])
        yield f"mkdir -p {target} && mount --bind {source} {target}"
        if volume["read_only"]:
            yield f"mount -o remount,bind,ro {target}"
    for text in service["tmpfs"]:
        path, _, options = text.partition(":")
        yield f"mount -t tmpfs -o {options} tmpfs .{path}"
    if service["read_only"]:
        yield "mount -o remount,ro ."
