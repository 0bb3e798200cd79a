from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_datasource.settings import TABLE, ConfigurationError, Settings, is_loopback, settings_page

PREFIX = "MODELPLANE_DATASOURCE_"


def test_defaults() -> None:
    assert Settings.from_environment({"PATH": "/bin"}) == Settings()


def test_every_field_can_be_set() -> None:
    environ = {
        "PROMETHEUS_URL": "https://mimir:9009/prometheus",
        "PROMETHEUS_TIMEOUT_SECONDS": "2.5",
        "SCRAPE_INTERVAL_SECONDS": "30",
        "ORG_ID": "acme|beta",
        "DATABASE_URL": "sqlite:////var/lib/m.db",
        "TOKEN_FILE": "secrets/tokens.json",
        "REGISTRY_FILE": "modelplane.yaml",
        "HOST": "0.0.0.0",
        "PORT": "18090",
        "THREADS": "4",
        "MAX_WAITING_REQUESTS": "20",
        "MAX_WAITING_DELIVERIES": "30",
        "MAX_WAIT_SECONDS": "7.5",
        "MAX_CONNECTIONS": "50",
        "MAX_SILENCE_DAYS": "3",
        "REQUIRE_WATCHDOG_SECONDS": "300",
        "LOG_FORMAT": "json",
        "MAX_BODY_BYTES": "1000",
        "MAX_RAW_BODIES": "10",
        "MAX_UPSTREAM_BYTES": "2000",
        "MAX_SERIES": "20",
        "MAX_POINTS": "30000",
        "CACHE_SECONDS": "0",
        "MAX_CACHE_BYTES": "6000",
        "ALERTMANAGER_URLS": "http://am-0:9093, http://am-1:9093/path",
        "RECONCILE_INTERVAL_SECONDS": "15",
        "ABSENT_GRACE_SECONDS": "300",
        "RETENTION_DAYS": "30",
        "LOOKBACK_SECONDS": "3600",
        "SUPPRESSION_FILE": "windows.yaml",
        "INCIDENT_GAP_SECONDS": "60",
        "FLAP_EPISODES": "3",
        "FLAP_WINDOW_SECONDS": "900",
        "IDLE_POLICY": "even",
        "SHARED_POLICY": "scale",
        "CORS_ORIGINS": "https://app.example.org,http://localhost:5173",
    }
    settings = Settings.from_environment({PREFIX + name: value for name, value in environ.items()})
    assert settings == Settings(
        prometheus_url="https://mimir:9009/prometheus",
        prometheus_timeout_seconds=2.5,
        scrape_interval_seconds=30,
        org_id="acme|beta",
        database_url="sqlite:////var/lib/m.db",
        token_file=Path("secrets/tokens.json"),
        registry_file=Path("modelplane.yaml"),
        host="0.0.0.0",
        port=18090,
        threads=4,
        max_waiting_requests=20,
        max_waiting_deliveries=30,
        max_wait_seconds=7.5,
        max_connections=50,
        max_silence_days=3,
        require_watchdog_seconds=300,
        log_format="json",
        max_body_bytes=1000,
        max_raw_bodies=10,
        max_upstream_bytes=2000,
        max_series=20,
        max_points=30_000,
        cache_seconds=0,
        max_cache_bytes=6000,
        alertmanager_urls=("http://am-0:9093", "http://am-1:9093/path"),
        reconcile_interval_seconds=15,
        absent_grace_seconds=300,
        retention_days=30,
        lookback_seconds=3600,
        suppression_file=Path("windows.yaml"),
        incident_gap_seconds=60,
        flap_episodes=3,
        flap_window_seconds=900,
        idle_policy="even",
        shared_policy="scale",
        cors_origins=("https://app.example.org", "http://localhost:5173"),
    )
    assert set(environ) == {name.upper() for name in Settings.__dataclass_fields__}


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PORT", "http", "1 to 65535"),
        ("PORT", "0", "1 to 65535"),
        ("PORT", "65536", "1 to 65535"),
        ("PROMETHEUS_URL", "prometheus:9090", "http://"),
        ("PROMETHEUS_URL", "http://prometheus:9090?x=1", "no query"),
        ("PROMETHEUS_TIMEOUT_SECONDS", "nan", "above 0"),
        ("SCRAPE_INTERVAL_SECONDS", "0", "above 0"),
        ("ORG_ID", "two\nlines", "printable"),
        ("DATABASE_URL", "postgresql://db/modelplane", "sqlite:///"),
        ("DATABASE_URL", "mysql://db/modelplane", "postgresql"),
        ("ALERTMANAGER_URLS", "http://am-0:9093,", "http://"),
        ("DATABASE_URL", "sqlite:///:memory:", "path of a file"),
        ("TOKEN_FILE", "", "path"),
        ("HOST", "", "address"),
        ("THREADS", "-1", "1 to 256"),
        ("MAX_SERIES", "0", "1 to 1000000"),
        ("CACHE_SECONDS", "-1", "0 to 3600"),
    ],
)
def test_a_bad_value_names_the_variable_and_what_is_allowed(variable: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{PREFIX}{variable} must be .*{allowed}"):
        Settings.from_environment({PREFIX + variable: value})


def test_a_flag_outweighs_a_variable_and_that_the_file(tmp_path: Path) -> None:
    file = tmp_path / "backend.yaml"
    file.write_text("port: 1\nthreads: 2\nmax_series: 3\n")
    environ = {PREFIX + "THREADS": "4", PREFIX + "MAX_SERIES": "5", PREFIX + "CONFIG": str(file)}
    expected = Settings(port=1, threads=4, max_series=6)
    assert Settings.from_environment(environ, {"max_series": "6"}) == expected
    del environ[PREFIX + "CONFIG"]
    assert Settings.from_environment(environ, {"max_series": "6"}, file) == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("port: [", "backend.yaml: is not valid YAML: line 2, column 1: "),
        (
            "port: 1\nhost: a\nport: 2",
            "line 3: the key 'port' is given twice, first on line 1; allowed: once",
        ),
        ("- port", "must be a mapping"),
        ("prot: 1", "prot: is not a known key; allowed: prometheus_url, "),
        ("port: x", "backend.yaml: port must be a port from 1 to 65535"),
        ("", "must be a mapping"),
    ],
)
def test_a_bad_file_names_the_key_and_what_is_allowed(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "backend.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=problem):
        Settings.from_environment({}, file=file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Settings.from_environment({PREFIX + "CONFIG": str(tmp_path / "absent.yaml")})


def test_a_flag_is_named_in_its_error() -> None:
    with pytest.raises(ConfigurationError, match=r"^--max-series must be a whole number"):
        Settings.from_environment({}, {"max_series": "many"})


def test_the_documentation_has_every_setting() -> None:
    table = settings_page()
    assert all(f"`{row.flag}` | `{row.variable}`" in table for row in TABLE)
    assert {len(line.split(" | ")) for line in table.splitlines() if line.startswith("|")} == {5}


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"PROMETHEUS_URI is not a setting.*PROMETHEUS_URL"):
        Settings.from_environment({f"{PREFIX}PROMETHEUS_URI": "http://x"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example.org", False),
    ],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
