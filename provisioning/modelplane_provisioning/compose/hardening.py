"""What each container may do and use, and how it is known to be healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Service = dict[str, Any]

# Docker keeps everything that a container ever wrote unless it is told otherwise.
_LOGGING = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
_CHECK_SECONDS = 10
_PATIENT_CHECKS = 6


@dataclass(frozen=True, slots=True)
class Health:
    """``test`` uses a program of the image. ``start_seconds`` is how long the part may take to answer."""

    test: tuple[str, ...]
    start_seconds: int = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use: the default of memory, which ``.env`` can change, and threads.

    ``temporary`` is the size of ``/tmp``, which counts as memory.
    """

    memory: str
    threads: int
    temporary: str = "64m"


def confined(
    service: Service, name: str, user: str, networks: tuple[str, ...], limits: Limits, health: Health
) -> Service:
    """The service with everything taken away that it does not need. ``user`` is ``uid:gid``.

    A limit above the processors of the machine would keep Docker from starting the container, so each gets
    one unless ``.env`` gives it more.
    """
    variable = f"MODELPLANE_{name.upper().replace('-', '_')}"
    return {
        **service,
        "user": user,
        "read_only": True,
        "tmpfs": [f"/tmp:size={limits.temporary},mode=1777"],  # noqa: S108 - inside the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"${{{variable}_MEMORY:-{limits.memory}}}",
        "cpus": f"${{{variable}_CPUS:-1}}",
        "pids_limit": limits.threads,
        "networks": list(networks),
        "healthcheck": {
            "test": ["CMD", *health.test],
            "interval": f"{_CHECK_SECONDS}s",
            "timeout": f"{_CHECK_SECONDS}s",
            "retries": _PATIENT_CHECKS,
            "start_period": f"{health.start_seconds}s",
        },
        "logging": _LOGGING,
        "restart": "unless-stopped",
    }


def http_check(port: int, path: str) -> tuple[str, ...]:
    """A check by Python, for images that have no other client; it follows no proxy of the environment."""
    lines = (
        "import http.client, sys",
        f"connection = http.client.HTTPConnection('127.0.0.1', {port}, timeout=8)",
        f"connection.request('GET', '{path}')",
        "sys.exit(connection.getresponse().status != 200)",
    )
    return ("python", "-c", "; ".join(lines))


def when_healthy(*services: str) -> dict[str, dict[str, str]]:
    """``depends_on`` that waits until the services can be used."""
    return {service: {"condition": "service_healthy"} for service in services}
