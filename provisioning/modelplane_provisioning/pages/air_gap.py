"""The list in ``docs/air-gap.md`` of all that a plane in containers takes from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from modelplane_provisioning.images.table import BUNDLED, INFINITY, OPTIONAL, Image, package_requirement
from modelplane_provisioning.pages.generated_part import with_generated_part

PAGE = "docs/air-gap.md"


def air_gap_page(page: str) -> bytes:
    """``page`` with the list; MarkerError."""
    packages = {
        package_requirement("backend", "postgresql"): "the backend",
        package_requirement("demo"): "with `--examples` alone",
    }
    rows = [
        *_image_rows(BUNDLED, "image"),
        *(
            f"| package for Python | `{name}` and what it needs | {reader} |"
            for name, reader in packages.items()
        ),
        f"| plugin for Grafana | `{INFINITY.name}` {INFINITY.release} | with `--api infinity` alone |",
        *_image_rows(OPTIONAL, "image, by choice"),
    ]
    table = "| kind | what | for |\n| --- | --- | --- |\n" + "".join(f"{row}\n" for row in rows)
    return with_generated_part(page, f"{table}\n", PAGE).encode()


def _image_rows(images: Iterable[Image], kind: str) -> list[str]:
    return [f"| {kind} | `{image.reference({})}` | {image.purpose} |" for image in images]
