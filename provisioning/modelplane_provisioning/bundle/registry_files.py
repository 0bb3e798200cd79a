"""The files that the registry names, read and checked before anything is written.

They hold secrets of receivers, and what Prometheus needs to scrape targets.
"""

from __future__ import annotations

import re
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from modelplane_schema.documents import DocumentError, parse_yaml
from modelplane_schema.errors import UserError
from modelplane_schema.fields import Declaration
from modelplane_schema.receivers import secret_files
from modelplane_schema.registry import Registry
from modelplane_schema.targets import Tls


class RegistryFileError(UserError, ValueError):
    """Files that the registry names cannot be used; a line for each says where it is named and why."""


class _Kind(NamedTuple):
    """What a file may hold: ``longest`` is in bytes, ``problem`` says why another text is not accepted."""

    longest: int
    accepts: Callable[[str], object]
    problem: str


class _NamedFile(NamedTuple):
    """A file by its path beside the registry, and the place there that names it."""

    place: str
    path: str
    kind: _Kind


def _is_url(text: str) -> bool:
    return re.fullmatch(r"https?://\S+", text) is not None and text.isprintable()


def _is_kubeconfig(text: str) -> bool:
    try:
        content = parse_yaml(text, "")
    except DocumentError:
        return False
    return isinstance(content, dict) and "clusters" in content


_LINE = _Kind(8192, str.isprintable, "must hold one line of at most 8192 bytes")
_URL = _Kind(8192, _is_url, "must hold a URL that starts with http:// or https://")
_PEM = _Kind(1_048_576, re.compile(r"^-----BEGIN [A-Z0-9 ]+-----$", re.MULTILINE).search, "must hold PEM")
_KUBECONFIG = _Kind(1_048_576, _is_kubeconfig, "must hold a kubeconfig with its clusters")
# What files of targets hold that are more than one line.
_KINDS = {
    "tls.ca_file": _PEM,
    "tls.cert_file": _PEM,
    "tls.key_file": _PEM,
    "discovery.kubernetes.kubeconfig_file": _KUBECONFIG,
}


_PUBLIC = ("tls.ca_file", "tls.cert_file")


def registry_files(registry: Registry, folder: Path) -> dict[str, bytes]:
    """Map each file that the registry names, by its path there, to its content without white space around it.

    ``folder`` is that of the registry. RegistryFileError names all files that cannot be used.
    """
    contents: dict[str, bytes] = {}
    problems = []
    for file in _named_files(registry):
        try:
            contents[file.path] = _content(folder / file.path, file.kind)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; create it with the secret in it"
            problems.append(f"{file.place}: {folder / file.path}: {reason}")
        except ValueError as error:
            problems.append(f"{file.place}: {folder / file.path}: {error}")
    problems += _wrong_pairs(registry, folder) if not problems else []
    if problems:
        raise RegistryFileError("\n".join(dict.fromkeys(problems)))
    return contents


def files_that_others_read(registry: Registry, folder: Path) -> list[str]:
    """A sentence for each secret that the registry names and everybody on this machine can read.

    Certificates are none. A secret that Kubernetes mounts is often open and cannot be closed, so it is not an
    error. ``folder`` is that of the registry.
    """
    sentences = []
    for file in _named_files(registry):
        path = folder / file.path
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_IROTH and not file.place.endswith(_PUBLIC):
            sentences.append(f"{file.place}: others can read {path} (mode {mode:04o}); run: chmod 600 {path}")
    return list(dict.fromkeys(sentences))


def _content(path: Path, kind: _Kind) -> bytes:
    """OSError, or ValueError that does not repeat what is in the file."""
    if path.exists() and not path.is_file():
        raise ValueError("is not a file")
    with path.open("rb") as file:
        content = file.read(kind.longest + 1)
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not text:
        raise ValueError("is empty; write the secret into it")
    if len(content) > kind.longest or not kind.accepts(text):
        raise ValueError(kind.problem)
    return text.encode()


def _wrong_pairs(registry: Registry, folder: Path) -> Iterator[str]:
    """A problem for each certificate that Prometheus could not load, because it would refuse all targets."""
    for position, model in enumerate(registry.models):
        tls = model.scrape.tls
        for field, problem in _tls_problems(tls, folder) if tls else ():
            yield f"models[{position}].targets.tls.{field}: {folder / getattr(tls, field)}: {problem}"


def _tls_problems(tls: Tls, folder: Path) -> Iterator[tuple[str, str]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(folder / tls.ca_file)
        except (ssl.SSLError, ValueError):
            yield "ca_file", "holds no certificate of an authority"
    if tls.cert_file is not None and tls.key_file is not None:
        try:
            # Without a password OpenSSL would ask the terminal for it.
            context.load_cert_chain(folder / tls.cert_file, folder / tls.key_file, password="")
        except (ssl.SSLError, ValueError):
            yield "key_file", "does not hold the key of cert_file, without a password"


def _named_files(registry: Registry) -> Iterator[_NamedFile]:
    for place, declaration in _receivers(registry):
        for field, path in secret_files(declaration).items():
            kind = _URL if field.endswith("url_file") else _LINE
            yield _NamedFile(f"{place}.{field}", path, kind)
    for position, model in enumerate(registry.models):
        for field, path in model.scrape.files:
            yield _NamedFile(f"models[{position}].targets.{field}", path, _KINDS.get(field, _LINE))


def _receivers(registry: Registry) -> Iterator[tuple[str, Declaration]]:
    platform = registry.platform
    if platform.smtp is not None:
        yield "platform.smtp", platform.smtp
    if platform.dead_mans_switch is not None:
        yield "platform.dead_mans_switch", platform.dead_mans_switch
    for place, recipient in registry.recipients:
        for position, receiver in enumerate(recipient.receivers):
            yield f"{place}.receivers[{position}]", receiver
