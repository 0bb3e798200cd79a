"""Each text with which Prometheus or VictoriaMetrics says that a scrape failed becomes plain words."""

from __future__ import annotations

import pytest

from modelplane_provisioning.doctor.scrape_reasons import scrape_reason

# Word for word, of Prometheus 2.42 and 3, and of VictoriaMetrics 1.79 and its newest.
TEXTS = {
    "it wants a login (401)": [
        "server returned HTTP status 401 Unauthorized",
        'unexpected status code returned when scraping "http://127.0.0.1:1/m": 401; expecting 200; '
        'response body: "x 1\\n"',
    ],
    "it refuses the login (403)": ["server returned HTTP status 403 Forbidden"],
    "it has nothing at this path (404)": ["server returned HTTP status 404 Not Found"],
    "it does not understand the request (400)": ["server returned HTTP status 400 Bad Request"],
    "it is too busy, or not ready (503)": ["server returned HTTP status 503 Service Unavailable"],
    "it fails itself (500)": ["server returned HTTP status 500 Internal Server Error"],
    "it answers with an error (410)": ["server returned HTTP status 410 Gone"],
    "it does not speak TLS": [
        'Get "https://127.0.0.1:1/metrics": tls: first record does not look like a TLS handshake',
        'Get "https://127.0.0.1:1/metrics": http: server gave HTTP response to HTTPS client',
    ],
    "its certificate has expired or is not valid yet": [
        'Get "https://127.0.0.1:1/metrics": x509: certificate has expired or is not yet valid: current time '
        "2026-11-30T14:40:55Z is after 2021-01-01T00:00:00Z",
        'Get "https://127.0.0.1:1/metrics": tls: failed to verify certificate: x509: certificate has expired '
        "or is not yet valid: current time 2026-11-30T14:40:55Z is after 2021-01-01T00:00:00Z",
    ],
    "its certificate is of an authority that is not known here": [
        'Get "https://127.0.0.1:1/metrics": x509: certificate signed by unknown authority',
        'Get "https://127.0.0.1:1/m": tls: failed to verify certificate: x509: certificate signed by unknown '
        "authority",
    ],
    "its certificate is for another name": [
        "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs",
        'Get "https://localhost:1/m": tls: failed to verify certificate: x509: certificate is valid for '
        "models.example.org, not localhost",
        "x509: certificate is not valid for any names, but wanted to match localhost",
    ],
    "its certificate names no host as a subject alternative name": [
        'Get "https://localhost:1/m": x509: certificate relies on legacy Common Name field, use SANs instead',
        'Get "https://localhost:1/m": tls: failed to verify certificate: x509: certificate relies on legacy '
        "Common Name field, use SANs instead",
    ],
    "it wants a certificate of who asks": [
        'Get "https://127.0.0.1:1/metrics": remote error: tls: certificate required',
        'Get "https://127.0.0.1:1/metrics": remote error: tls: bad certificate',
        'cannot perform request to "https://127.0.0.1:1/metrics": Get "https://127.0.0.1:1/metrics": '
        "readLoopPeekFailLocked: remote error: tls: certificate required",
    ],
    "TLS fails": ['Get "https://127.0.0.1:1/metrics": remote error: tls: handshake failure'],
    "a file that its `targets` name cannot be read by the scraper": [
        'Get "http://127.0.0.1:1/metrics": unable to read basic auth password file /nowhere: open /nowhere: '
        "no such file or directory",
        'failed to set request headers for "http://127.0.0.1:1/metrics": failed to obtain Authorization '
        'request header: cannot read password from `password_file`="/nowhere": cannot read "/nowhere": open '
        "/nowhere: no such file or directory",
    ],
    "the connection is refused": [
        'Get "http://127.0.0.1:1/metrics": dial tcp 127.0.0.1:1: connect: connection refused',
        'error when scraping "http://127.0.0.1:1/metrics": dial tcp4 127.0.0.1:1: connect: connection '
        "refused; try -enableTCP6 command-line flag if you scrape ipv6 addresses",
    ],
    "its host name is not known": [
        'Get "http://nowhere.invalid:80/metrics": dial tcp: lookup nowhere.invalid on 10.0.0.53:53: no such '
        "host",
    ],
    "DNS does not answer for its host": [
        'Get "http://a:1/metrics": dial tcp: lookup a on [::1]:53: read udp [::1]:5->[::1]:53: read: '
        "connection refused",
        'Get "http://a:1/metrics": dial tcp: lookup a on 127.0.0.11:53: server misbehaving',
    ],
    "it does not answer in time": [
        'Get "http://127.0.0.1:1/slow": context deadline exceeded',
        'error when scraping "http://127.0.0.1:1/slow" with timeout 1s: timeout',
        'Get "http://10.0.0.9:1/metrics": dial tcp 10.0.0.9:1: i/o timeout',
    ],
    "it ends the connection without an answer": [
        'Get "http://127.0.0.1:1/metrics": EOF',
        'error when scraping "http://127.0.0.1:1/metrics": unexpected EOF',
        'Get "http://127.0.0.1:1/metrics": read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer',
        'error when scraping "https://127.0.0.1:1/metrics": the server closes all the connection attempts: '
        "the server closed connection before returning the first response byte. Make sure the server",
    ],
    "it does not speak HTTP": [
        'Get "http://127.0.0.1:1/metrics": net/http: HTTP/1.x transport connection broken: malformed HTTP '
        'response "SSH-2.0-x"',
        'error when scraping "http://127.0.0.1:1/metrics": error when reading response headers: cannot find '
        'whitespace in the first line of response "SSH-2.0-x\\r\\n". Buffer size=11',
    ],
    "what it answers are no metrics": [
        '"INVALID" is not a valid start token',
        'expected a valid start token, got "<" ("INVALID") while parsing: "<"',
        'received unsupported Content-Type "text/html" and no fallback_scrape_protocol specified for target',
        'expected label name, got "INVALID"',
    ],
    "it has more than its job may have": [
        "sample limit exceeded",
        "body size limit exceeded",
        "label_limit exceeded (metric: x0, number of labels: 3, limit: 1)",
        'the response from "http://127.0.0.1:1/many" exceeds sample_limit=10; either reduce the sample count '
        "for the target or increase sample_limit",
    ],
    "it was not scraped yet": [""],
}


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, texts in TEXTS.items() for text in texts]
)
def test_a_text_becomes_plain_words(reason: str, text: str) -> None:
    assert scrape_reason(text).text == reason
    assert scrape_reason(text).advice


def test_words_in_the_address_of_a_target_are_not_taken_for_the_reason() -> None:
    text = 'Get "http://tls:1/no_such_file/EOF": dial tcp 10.0.0.1:1: connect: connection refused'
    assert scrape_reason(text).text == "the connection is refused"


def test_a_text_that_nobody_knows_stays_and_groups_targets_that_fail_alike() -> None:
    first, second = (
        f'Get "http://{host}/metrics": odd thing at {host}' for host in ("10.0.0.1:1", "10.0.0.2:2")
    )
    assert scrape_reason(first).text == first
    assert scrape_reason(first).group == scrape_reason(second).group
