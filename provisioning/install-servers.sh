#!/bin/sh
# Install Debian's Prometheus and Alertmanager, and Python's venv module, when they are absent.
# With --development also what tests need: VictoriaMetrics, PostgreSQL, jsonnet, and for charts Chromium, Node.js and npm.
set -eu

missing=""
command -v prometheus >/dev/null || missing="$missing prometheus"
command -v prometheus-alertmanager >/dev/null || command -v alertmanager >/dev/null ||
    missing="$missing prometheus-alertmanager"
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ "${1:-}" = --development ]; then
    command -v victoria-metrics >/dev/null || missing="$missing victoria-metrics"
    command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 ||
        missing="$missing postgresql"
    command -v jsonnet >/dev/null && command -v jsonnetfmt >/dev/null || missing="$missing jsonnet"
    command -v chromium >/dev/null || missing="$missing chromium"
    command -v node >/dev/null || missing="$missing nodejs"
    # A Node.js from elsewhere brings its own npm, which Debian's would conflict with.
    command -v npm >/dev/null || missing="$missing npm"
fi
[ -n "$missing" ] || exit 0

fail() {
    echo "Error: missing:$missing. $1" >&2
    exit 1
}

command -v apt-get >/dev/null || fail "This is not a Debian-like system: install them yourself and put them on PATH."
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    fail "Install them with: sudo apt-get install --no-install-recommends$missing"
fi

echo "installing$missing"
log=$(mktemp)
# shellcheck disable=SC2086 # both variables are lists of words
if ! { $as_root apt-get update && DEBIAN_FRONTEND=noninteractive \
    $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install them; its last lines are above, the whole output is in $log"
fi
rm -f "$log"
if command -v systemctl >/dev/null && systemctl is-active --quiet prometheus 2>/dev/null; then
    echo "Debian started a Prometheus of its own on port 9090; modelplane takes another port." \
        "To stop it: systemctl disable --now prometheus prometheus-alertmanager"
fi
