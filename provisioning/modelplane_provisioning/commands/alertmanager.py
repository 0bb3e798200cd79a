"""The commands about an Alertmanager that is there already."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import click
from rich.markup import escape

from modelplane_provisioning.commands.options import console
from modelplane_schema.documents import load_yaml, read_text
from modelplane_schema.files import replace_file

_PATIENCE_SECONDS = 60
_MARK = "\ufeff"


@click.group("alertmanager")
def alertmanager_group() -> None:
    """Work with an Alertmanager that is there already.

    Example: modelplane alertmanager merge --from build/alertmanager/modelplane.yml --into alertmanager.yml
    """


@alertmanager_group.command("merge")
@click.option(
    "--from",
    "guest_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/alertmanager/modelplane.yml"),
    show_default=True,
    help="Our routes and receivers, as modelplane bundle --target existing writes them.",
)
@click.option(
    "--into",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Your alertmanager.yml.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result here and leave your file as it is.",
)
def merge(guest_file: Path, into: Path, out: Path | None) -> None:
    """Put our routes and receivers into your alertmanager.yml, whose own content, comments and order stay.

    What an earlier merge put there is replaced. Lists are indented alike. Where amtool is on PATH it
    must accept the result. Reload Alertmanager afterwards.

    Example: modelplane alertmanager merge --from build/alertmanager/modelplane.yml --into alertmanager.yml
    """
    from modelplane_provisioning.existing.routes import guest_of, inhibition_warnings, merge_routes

    guest = guest_of(load_yaml(guest_file), str(guest_file))
    text = read_text(into).removeprefix(_MARK)
    merged = merge_routes(text, guest, str(into))
    warnings = list(inhibition_warnings(merged, str(into)))
    _check(merged, into)
    _replace((out or into).resolve(), _encoded(merged, into.read_bytes()), into.stat())
    changed = "as before" if merged == text else "with our routes and receivers"
    console.print(f"{out or into}: {changed}; reload Alertmanager", markup=False)
    for warning in warnings:
        console.print(f"[yellow]warning[/yellow]: {escape(warning)}")


def _encoded(text: str, like: bytes) -> bytes:
    """The text with a byte order mark and ends of lines as ``like`` has them."""
    lines = text.replace("\n", "\r\n") if b"\r\n" in like else text
    return (_MARK + lines if like.startswith(_MARK.encode()) else lines).encode()


def _replace(path: Path, content: bytes, like: os.stat_result) -> None:
    """Write a file that whoever could read the one with the state ``like`` can read, too."""
    replace_file(path, content, stat.S_IMODE(like.st_mode))
    state = path.stat()
    if (state.st_uid, state.st_gid) == (like.st_uid, like.st_gid):
        return
    try:
        os.chown(path, like.st_uid, like.st_gid)
    except PermissionError:
        console.print(
            f"[yellow]warning[/yellow]: {path}: is yours now; Alertmanager may have to be allowed to read it"
        )


def _check(merged: str, source: Path) -> None:
    """ClickException with what amtool says against the result."""
    amtool = shutil.which("amtool")
    if amtool is None:
        return
    with tempfile.TemporaryDirectory(prefix="modelplane-") as folder:
        file = Path(folder, "alertmanager.yml")
        file.write_text(merged, encoding="utf-8")
        done = subprocess.run(
            [amtool, "check-config", str(file)],
            capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS,
        )  # fmt: skip
    if done.returncode != 0:
        said = (done.stdout + done.stderr).replace(str(file), "the result")
        complaint = " ".join(said.split())
        raise click.ClickException(f"{source}: left as it is, amtool refuses the merged file: {complaint}")


COMMANDS = (alertmanager_group,)
