"""The table in ``docs/deploy.md`` of what each container may do, read off the Compose file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from modelplane_provisioning.pages.generated_part import with_generated_part

PAGE = "docs/deploy.md"
Service = Mapping[str, Any]
_PARTS = ("prometheus", "alertmanager", "backend", "grafana")
_EXAMPLE = "example-"


def hardening_page(page: str, compose: bytes) -> bytes:
    """``page`` with the table of ``compose``, which has examples; MarkerError."""
    services: dict[str, Service] = yaml.safe_load(compose)["services"]
    shown = {name: services[name] for name in _PARTS}
    shown["each example"] = next(service for name, service in services.items() if name.startswith(_EXAMPLE))
    rows = [["", *shown], ["---"] * (len(shown) + 1)]
    rows += [[point, *map(cell, shown.values())] for point, cell in POINTS.items()]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return with_generated_part(page, f"{table}\n", PAGE).encode()


def _user(service: Service) -> str:
    return "root" if service.get("user", "0").partition(":")[0] == "0" else "the bundle's owner"


def _root(service: Service) -> str:
    return "read-only" if service.get("read_only") else "writable"


def _writable(service: Service) -> str:
    folders = [volume["target"] for volume in service.get("volumes", ()) if not volume["read_only"]]
    sizes = (text.partition(":size=") for text in service["tmpfs"])
    return ", ".join([*map(_code, folders), *(f"`{path}` ({size.split(',')[0]})" for path, _, size in sizes)])


def _mounted(service: Service) -> str:
    folders = (volume["source"] for volume in service.get("volumes", ()) if volume["read_only"])
    return ", ".join(map(_code, folders)) or "nothing"


def _capabilities(service: Service) -> str:
    return "none" if service["cap_drop"] == ["ALL"] else "some"


def _privileges(service: Service) -> str:
    return "no" if "no-new-privileges:true" in service["security_opt"] else "yes"


def _memory(service: Service) -> str:
    return _default(service["mem_limit"])


def _processors(service: Service) -> str:
    return _default(service["cpus"])


def _threads(service: Service) -> str:
    return str(service["pids_limit"])


def _log(service: Service) -> str:
    options = service["logging"]["options"]
    return f"{options['max-file']} files of {options['max-size']}"


def _networks(service: Service) -> str:
    scraped = [name for name in service["networks"] if name.startswith("scrape-")]
    others = [name for name in service["networks"] if name not in scraped]
    return ", ".join([*map(_code, others), *(["one with each example"] if others and scraped else [])]) or (
        "one with Prometheus"
    )


def _published(service: Service) -> str:
    return ", ".join(_code(port.rpartition(":")[0]) for port in service.get("ports", ())) or "nothing"


def _health(service: Service) -> str:
    program, *rest = service["healthcheck"]["test"][1:]
    python = next((text for text in rest if "request('GET'" in text), "")
    checked = python.partition("request('GET', '")[2].partition("'")[0] if python else " ".join(rest)
    return f"{_code(program)}: {_code(checked)}"


def _start(service: Service) -> str:
    return f"{service['healthcheck']['start_period']}"


def _waits(service: Service) -> str:
    return ", ".join(service.get("depends_on", ())) or "nobody"


def _default(variable: str) -> str:
    name, _, default = variable.removeprefix("${").removesuffix("}").partition(":-")
    return f"{default} (`{name}`)"


def _code(text: str) -> str:
    return f"`{text}`"


POINTS: Mapping[str, Callable[[Service], str]] = {
    "user": _user,
    "root file system": _root,
    "can write to": _writable,
    "mounted read-only": _mounted,
    "capabilities": _capabilities,
    "can gain privileges": _privileges,
    "memory": _memory,
    "processors": _processors,
    "threads": _threads,
    "log": _log,
    "networks": _networks,
    "published on": _published,
    "health check": _health,
    "may take to start": _start,
    "starts after health of": _waits,
}
