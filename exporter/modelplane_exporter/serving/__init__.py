"""``/metrics`` over HTTP: the answer, the built-in server, and who has its port."""
