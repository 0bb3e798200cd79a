"""Why a scrape failed, by the text of Prometheus or VictoriaMetrics; pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_URL = re.compile(r'"?https?://[^\s"]+"?')
_ADDRESS = re.compile(r"\[?[0-9a-fA-F.:]+\]?:\d+|lookup \S+")


class ScrapeReason(NamedTuple):
    """What is wrong and what to do; ``group`` is the same for targets that fail alike."""

    text: str
    advice: str
    group: str


_LOGIN = "name the right login in the model's `targets`, as `basic_auth` or `authorization`"
_PATH = "check `metrics_path` in the model's `targets`"
_PORT = "is that the port of its metrics?"
# Status of HTTP, as a regular expression, to what is wrong and what to do.
_STATUSES = (
    ("401", "it wants a login", _LOGIN),
    ("403", "it refuses the login", "check what this login may do there"),
    ("404", "it has nothing at this path", _PATH),
    ("400", "it does not understand the request", "if it speaks TLS, set `scheme: https` in its `targets`"),
    ("429|503", "it is too busy, or not ready", "its log says why"),
    ("5..", "it fails itself", "its log says why"),
    ("...", "it answers with an error", f"{_PATH}, and its log"),
)
# The first that is in the text holds. Prometheus is of 2.42 and 3.5, VictoriaMetrics of 1.79 and 1.145.
_REASONS = (
    (r"not look like a TLS handshake|HTTP response to HTTPS client",
     "it does not speak TLS", "set `scheme: http` in its `targets`"),
    (r"HTTP request to an HTTPS server", "it speaks TLS", "set `scheme: https` in its `targets`"),
    (r"expired or is not yet valid",
     "its certificate has expired or is not valid yet", "renew it, or set the clocks"),
    (r"unknown authority",
     "its certificate is of an authority that is not known here",
     "name the authority's certificate as `tls: {ca_file: ...}` in its `targets`"),
    (r"legacy Common Name",
     "its certificate names no host as a subject alternative name",
     "issue one with its host among those, or the name that `tls: {server_name: ...}` of its `targets` says"),
    (r"certificate is valid for|cannot validate certificate for|not valid for any names",
     "its certificate is for another name",
     "name that one as `tls: {server_name: ...}` in its `targets`, or issue one for its host"),
    (r"remote error: tls: (certificate|bad certificate|unknown certificate)",
     "it wants a certificate of who asks",
     "name one that it trusts as `tls: {cert_file: ..., key_file: ...}` in its `targets`"),
    (r"x509:|tls:", "TLS fails", "compare the certificates with `tls` in its `targets`"),
    (r"unable to (read|load|use)|cannot read|no such file",
     "a file that its `targets` name cannot be read by the scraper",
     "write the bundle again, and mount secrets/prometheus"),
    (r"no such host", "its host name is not known", "check the host in its `targets`"),
    (r": lookup ", "DNS does not answer for its host", "check the DNS of the scraper's machine"),
    (r"connection refused", "the connection is refused", f"is the service running, and {_PORT}"),
    (r"no route to host|network is unreachable",
     "there is no way to it", "check the network between the scraper and it"),
    (r"deadline exceeded|i/o timeout|with timeout|Client\.Timeout",
     "it does not answer in time", "is it overloaded, or does a firewall drop what is sent?"),
    (r"EOF$|reset by peer|broken pipe|the server close[sd]",
     "it ends the connection without an answer", f"{_PORT} If it speaks TLS, set `scheme: https`"),
    (r"malformed HTTP response|whitespace in the first line", "it does not speak HTTP", _PORT),
    (r"unsupported Content-Type|start token|expected label name|expected value|does not end with # EOF",
     "what it answers are no metrics", f"{_PATH}: an application or a login page answers with HTML"),
    (r"limit exceeded|exceeds (sample_limit|-promscrape)",
     "it has more than its job may have", "look for a label with very many values, or raise the limit"),
)  # fmt: skip


def scrape_reason(last_error: str) -> ScrapeReason:
    """The reason for the ``lastError`` of a target."""
    text = _URL.sub("", last_error).strip()  # whose words are not the scraper's
    status = re.search(r"HTTP status (\d{3})|: (\d{3}); expecting", text)
    if status:
        code = status[1] or status[2]
        cause, advice = next((c, a) for pattern, c, a in _STATUSES if re.fullmatch(pattern, code))
        return ScrapeReason(f"{cause} ({code})", advice, f"{cause} ({code})")
    for pattern, cause, advice in _REASONS:
        if re.search(pattern, text):
            return ScrapeReason(cause, advice, cause)
    if not text:
        return ScrapeReason("it was not scraped yet", "wait for a scrape", "")
    return ScrapeReason(last_error, "its log may say why", _ADDRESS.sub("", text))
