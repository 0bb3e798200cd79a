"""A client that keeps one connection, and adds little to what it measures."""

from __future__ import annotations

from collections.abc import Mapping

import pycurl


class Client:
    """One kept connection to a port on loopback. A request leaves in one piece, as it does from Grafana."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._handle = pycurl.Curl()
        self._handle.setopt(pycurl.BUFFERSIZE, 512 * 1024)
        self._handle.setopt(pycurl.ACCEPT_ENCODING, "identity")
        self._handle.setopt(pycurl.TIMEOUT, 120)

    def send(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        """The body of an answer to a GET, or a POST of ``body``; SystemExit when it is not a success."""
        chunks: list[bytes] = []
        self._handle.setopt(pycurl.URL, self._url + path)
        if body is None:
            self._handle.setopt(pycurl.HTTPGET, 1)
        else:
            self._handle.setopt(pycurl.POSTFIELDS, body)
        self._handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        self._handle.setopt(pycurl.WRITEFUNCTION, chunks.append)
        self._handle.perform()
        status, answer = self._handle.getinfo(pycurl.RESPONSE_CODE), b"".join(chunks)
        if status != 200:
            raise SystemExit(f"{path[:200]} answered {status}: {answer[:500].decode()}")
        return answer

    def close(self) -> None:
        self._handle.close()
