"""The example services: what the catalogue in their folder lists, and their processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from modelplane_provisioning.past.stories import Story
from modelplane_provisioning.processes import Process, ProcessError

_CATALOGUE = Path("services", "catalogue.py")
# In a checkout this is a link to the folder of that name.
PACKAGED = Path(__file__).with_name("example_services")


def examples_folder(named: Path | None) -> Path:
    """The folder that somebody named, else ``examples`` here, else the one that the package brings."""
    here = Path("examples")
    return named or (here if (here / _CATALOGUE).is_file() else PACKAGED)


@dataclass(frozen=True, slots=True)
class ExampleService:
    """One entry of the catalogue. ``install`` is the command that adds what is missing."""

    script: str
    model_name: str
    framework: str
    install: str
    installed: bool
    story: Story


def read_catalogue(folder: Path) -> tuple[ExampleService, ...]:
    """The services below ``folder``; ProcessError when it holds no catalogue."""
    script = folder / _CATALOGUE
    if not script.is_file():
        raise ProcessError(f"{folder} holds no example services; name their folder with --examples")
    listed = subprocess.run(
        [sys.executable, str(script), "--json"], capture_output=True, text=True, check=False, timeout=60
    )
    if listed.returncode != 0:
        raise ProcessError(f"{script} failed:\n{listed.stderr}")
    fields = ExampleService.__dataclass_fields__
    return tuple(
        ExampleService(
            **{name: value for name, value in entry.items() if name in fields}
            | {"story": Story.model_validate(entry["story"])}
        )
        for entry in json.loads(listed.stdout)
    )


def example_process(folder: Path, service: ExampleService, port: int, logs: Path) -> Process:
    """The process of one example service, which lives in the last chapter of its story.

    It is ready once it serves metrics on ``port`` of loopback.
    """
    env = {
        "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
        "MODELPLANE_EXPORTER_PORT": str(port),
    }
    argv = [sys.executable, str((folder / "services" / service.script).resolve()), "--present"]
    name = f"example {service.framework}"
    return Process(name, argv, logs / f"{service.script}.log", env, f"http://127.0.0.1:{port}/metrics")
