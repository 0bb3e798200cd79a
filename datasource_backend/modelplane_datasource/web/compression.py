"""Compress responses for those who accept it, with ISA-L. Nothing else knows of ISA-L."""

from __future__ import annotations

from functools import lru_cache

from flask import Response, request
from isal import igzip
from werkzeug.http import parse_accept_header

SMALLEST = 1024  # bytes; below this a header of gzip and the work outweigh what is saved
# 122 kB of random points shrink to 33 % in 0.4 ms; with zlib at its quickest to 35 % in 1.4 ms.
_LEVEL = 1
_TEXT = ("application/json", "application/openmetrics-text", "text/")


def compress(response: Response) -> Response:
    """``response`` with gzip if its caller accepts it and it is a text of ``SMALLEST`` bytes or more."""
    headers = response.headers
    if response.direct_passthrough or response.is_streamed or "Content-Encoding" in headers:
        return response
    if not headers.get("Content-Type", "").startswith(_TEXT) or (response.content_length or 0) < SMALLEST:
        return response
    headers.add("Vary", "Accept-Encoding")
    if _takes_gzip(request.headers.get("Accept-Encoding", "")):
        response.set_data(_gzip(response.get_data()))
        headers["Content-Encoding"] = "gzip"
    return response


def _gzip(body: bytes) -> bytes:
    return igzip.compress(body, _LEVEL, mtime=0)


@lru_cache(maxsize=64)
def _takes_gzip(accepted: str) -> bool:
    return parse_accept_header(accepted)["gzip"] > 0
