"""Commands about the images of a bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from modelplane_provisioning.commands.options import console, out_option
from modelplane_provisioning.images.lock import LOCK_FILE, read_lock, write_lock
from modelplane_provisioning.images.registry import ImageRegistry, ImageRegistryError
from modelplane_provisioning.images.table import BUNDLED, IMAGES, REGISTRY

mirror_option = click.option(
    "--mirror",
    metavar="HOST[:PORT][/PATH]",
    help="A registry that has the images below the same names; otherwise docker.io.",
)


@click.group("images")
def images_group() -> None:
    """List the images that a bundle runs, and pin them to what their tags name now.

    Example: modelplane images list
    """


@images_group.command("list")
@out_option("build", "Folder of the bundle, whose pinned digests are shown.")
@mirror_option
@click.option("--all", "every", is_flag=True, help="Also those that take another's place by choice.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, with what each is for.")
def images_list(out: Path, mirror: str | None, every: bool, as_json: bool) -> None:
    """Print the reference of each image, one in a line: what to mirror, or to carry along.

    Example: modelplane images list | xargs -n 1 docker pull
    """

    digests, registry = read_lock(out), mirror or REGISTRY
    listed = [(image.reference(digests, registry), image.purpose) for image in (IMAGES if every else BUNDLED)]
    if as_json:
        entries = [{"image": reference, "purpose": purpose} for reference, purpose in listed]
        sys.stdout.write(json.dumps(entries, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{reference}\n" for reference, _ in listed))


@images_group.command("pin")
@out_option("build", "Folder of the bundle, for the file images.lock.")
@mirror_option
def images_pin(out: Path, mirror: str | None) -> None:
    """Ask the registry what each tag names now, and write the digests into images.lock of the bundle.

    `modelplane bundle` with the same --out then names images by digest. Nothing is written unless the
    registry answers for each.

    Example: modelplane images pin --out build
    """

    registry, before = ImageRegistry(mirror or REGISTRY), read_lock(out)
    digests, problems = {}, []
    for image in BUNDLED:
        try:
            digests[image.name] = registry.digest(image)
        except ImageRegistryError as error:
            problems.append(str(error))
    if problems:
        raise ImageRegistryError("\n".join(problems))
    write_lock(out, digests)
    for name, digest in digests.items():
        change = "as before" if before.get(name) == digest else "new"
        console.print(f"{name} {digest} ({change})", markup=False)
    console.print(f"{out / LOCK_FILE}: written; take it up with: modelplane bundle --out {out}", markup=False)


COMMANDS = (images_group,)
