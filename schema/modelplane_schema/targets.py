"""Where Prometheus finds the processes of a model and how it scrapes them, as the registry declares it.

Passwords, tokens, certificates and keys stand in files below ``targets/`` beside the registry, and nowhere
else. Needs pydantic (extra ``registry``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Address
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from modelplane_schema.fields import Declaration, Name, Url, joined, no_duplicates, path_below
from modelplane_schema.metrics import METRICS

FILES_FOLDER = "targets"
# A label of a target replaces the exporter's of the same name, and rules tell series apart by these.
TAKEN_LABELS = frozenset(
    {"job", "instance", "le", "quantile", *(label for metric in METRICS for label in metric.labels)}
)
_DNS_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?"


def _host(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or re.search(r"[\s/@]", host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must be HOST:PORT, for example 10.0.0.5:8000")
    if re.search(r"[:\[\]]", host) and not _is_bracketed(host):
        raise ValueError(
            "must be HOST:PORT, with an IPv6 address in brackets, for example [2001:db8::5]:8000"
        )
    return text


def _is_bracketed(host: str) -> bool:
    try:
        IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return host.startswith("[") and host.endswith("]")


def _metrics_path(text: str) -> str:
    if not re.fullmatch(r"/[^\s?#]*", text):
        raise ValueError("must be a path that starts with a slash, without a query, for example /metrics")
    return text


def _server_name(text: str) -> str:
    if not re.fullmatch(_DNS_NAME, text):
        raise ValueError("must be the name in the server's certificate, for example models.example.org")
    return text


def _dns_name(text: str) -> str:
    if not re.fullmatch(_DNS_NAME, text):
        raise ValueError("must be a name that DNS knows, for example resnet50.models.example.org")
    return text


def _absolute_pattern(text: str) -> str:
    if not re.fullmatch(r"/(.*/)?[^/*]*(\*[^/*]*)?\.(json|yml|yaml)", text):
        raise ValueError(
            "must be the absolute path of a .json, .yml or .yaml file as Prometheus sees it, in whose last "
            "part one * stands for any text, for example /etc/prometheus/discovered/resnet50-*.json"
        )
    return text


def _named_port(value: int | str) -> int | str:
    is_name = isinstance(value, str) and re.fullmatch(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", value)
    is_number = type(value) is int and 0 < value < 65536
    if not is_name and not is_number:
        raise ValueError("must be the name of a port, for example metrics, or its number")
    return value


def _label(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", text) or text.startswith("__"):
        raise ValueError("must be letters, digits and _, and not begin with a digit or with __")
    if text in TAKEN_LABELS:
        raise ValueError("is a label that the exporter or Prometheus sets; choose another")
    return text


def _kind(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "list"
    return "Targets" if isinstance(value, dict | Targets) else None


Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(gt=0, lt=65536)]
TargetFile = Annotated[str, AfterValidator(path_below(FILES_FOLDER, "resnet50-password"))]
Label = Annotated[str, AfterValidator(_label)]
KubernetesName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
NamedPort = Annotated[int | str, AfterValidator(_named_port)]


class BasicAuth(Declaration):
    """A user name, and the file that holds the password."""

    refused_keys: ClassVar[Mapping[str, str]] = {"password": "must stand in a file: use password_file"}

    username: Name
    password_file: TargetFile


class Authorization(Declaration):
    """The file that holds a token, which is sent as ``Authorization: Bearer``, or with another ``type``."""

    refused_keys: ClassVar[Mapping[str, str]] = {"credentials": "must stand in a file: use credentials_file"}

    type: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")] = "Bearer"
    credentials_file: TargetFile

    @model_validator(mode="after")
    def _not_basic(self) -> Self:
        if self.type.lower() == "basic":
            raise ValueError("type must not be Basic: use basic_auth")
        return self


class Tls(Declaration):
    """How a server's certificate is checked, and which certificate the server is shown."""

    ca_file: TargetFile | None = None
    cert_file: TargetFile | None = None
    key_file: TargetFile | None = None
    server_name: Annotated[str, AfterValidator(_server_name)] | None = None
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("must have both cert_file and key_file, or neither")
        return self


class DnsDiscovery(Declaration):
    """Names that Prometheus asks DNS for again and again. SRV records hold the port, others do not."""

    names: Annotated[tuple[Annotated[str, AfterValidator(_dns_name)], ...], Field(min_length=1)]
    type: Literal["SRV", "A", "AAAA"] = "SRV"
    port: Port | None = None

    @model_validator(mode="after")
    def _port_where_needed(self) -> Self:
        if (self.type == "SRV") != (self.port is None):
            raise ValueError("must have a port when type is A or AAAA, and none when it is SRV")
        return self


class KubernetesDiscovery(Declaration):
    """Pods, or the endpoints behind services, that have a label and a port.

    ``port`` is the name of a port or its number. Prometheus uses its own service account, or
    ``kubeconfig_file`` when it runs elsewhere.
    """

    role: Literal["pod", "endpoints", "endpointslice"] = "pod"
    namespaces: tuple[KubernetesName, ...] = ()
    label_selector: Name
    port: NamedPort
    kubeconfig_file: TargetFile | None = None


class FileDiscovery(Declaration):
    """Files with targets, in Prometheus' own format, that something else writes."""

    paths: Annotated[tuple[Annotated[str, AfterValidator(_absolute_pattern)], ...], Field(min_length=1)]


class HttpDiscovery(Declaration):
    """An address that answers with targets in Prometheus' own format."""

    url: Url


class Discovery(Declaration):
    """One way in which Prometheus finds targets by itself."""

    dns: DnsDiscovery | None = None
    kubernetes: KubernetesDiscovery | None = None
    file: FileDiscovery | None = None
    http: HttpDiscovery | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.dns, self.kubernetes, self.file, self.http)) != 1:
            raise ValueError(f"must have exactly one of {', '.join(Discovery.model_fields)}")
        return self


class Targets(Declaration):
    """Targets by ``hosts`` or by ``discovery``, and how all of them are scraped."""

    refused_keys: ClassVar[Mapping[str, str]] = {
        "path": "is called metrics_path",
        "password_file": "belongs below basic_auth",
        "credentials_file": "belongs below authorization",
        "bearer_token_file": "is called credentials_file, below authorization",
        "tls_config": "is called tls",
        "ca_file": "belongs below tls",
    }

    hosts: tuple[Host, ...] = ()
    discovery: Discovery | None = None
    scheme: Literal["http", "https"] = "http"
    metrics_path: Annotated[str, AfterValidator(_metrics_path)] = "/metrics"
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    tls: Tls | None = None
    labels: Annotated[dict[Label, Name], Field(default_factory=dict)]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        no_duplicates("hosts", self.hosts)
        if bool(self.hosts) == bool(self.discovery):
            raise ValueError("must have either hosts or discovery")
        if self.basic_auth and self.authorization:
            raise ValueError("must have basic_auth or authorization, not both")
        if self.tls and self.scheme == "http":
            raise ValueError("tls needs scheme: https")
        return self

    @property
    def files(self) -> Iterator[tuple[str, str]]:
        """Each file that is named, with the place below the targets: ``("tls.ca_file", "targets/ca")``."""
        kubernetes = self.discovery.kubernetes if self.discovery else None
        parts = {
            "basic_auth": self.basic_auth,
            "authorization": self.authorization,
            "tls": self.tls,
            "discovery.kubernetes": kubernetes,
        }
        for place, part in parts.items():
            for name in type(part).model_fields if part else ():
                path = getattr(part, name)
                if name.endswith("_file") and path is not None:
                    yield f"{place}.{name}", path

    @property
    def settings(self) -> Targets:
        """How targets are scraped and discovered, without the hosts."""
        return self.model_copy(update={"hosts": ()})


# A list of HOST:PORT says the same as ``hosts``.
DeclaredTargets = Annotated[
    Annotated[tuple[Host, ...], Tag("list")] | Annotated[Targets, Tag("Targets")],
    Discriminator(
        _kind,
        custom_error_type="targets",
        custom_error_message="must be a list of HOST:PORT, or a mapping with the keys "
        + ", ".join(Targets.model_fields),
    ),
]


def as_targets(declared: tuple[str, ...] | Targets) -> Targets:
    """The declaration in its long form, of an empty list with no hosts."""
    if isinstance(declared, Targets):
        return declared
    return Targets.model_construct(hosts=declared, labels={})


def disagreements(targets: Sequence[Targets]) -> list[str]:
    """A problem ``[2].targets: ...`` for hosts that models before it have scraped in another way.

    Prometheus would scrape such a host twice, and store each of its series twice.
    """
    problems = []
    first: dict[str, int] = {}
    for position, declared in enumerate(targets):
        before = [first.setdefault(host, position) for host in declared.hosts]
        differing = {
            host: other
            for host, other in zip(declared.hosts, before, strict=True)
            if targets[other].settings != declared.settings
        }
        if differing:
            other = min(differing.values())
            problems.append(
                f"[{position}].targets: {joined(differing)} would be scraped twice, because models[{other}] "
                "has other settings; give both the same"
            )
    return problems
