"""What the bundle gives to Grafana: no URL of a panel carries the token off, no name is somebody else's."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import modelplane_dashboards
from modelplane_dashboards import API_ACCESSES, ApiAccess
from modelplane_provisioning.bundle import grafana
from modelplane_provisioning.bundle.credentials import GRAFANA, SECRETS
from modelplane_provisioning.bundle.layout import EMPTY_FOLDERS
from modelplane_provisioning.bundle.site import CONTAINERS, Site, local_site
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.compose import grafana_on_host
from modelplane_provisioning.compose.containers import container_files
from modelplane_provisioning.local.ports import Ports
from modelplane_provisioning.local.stack import grafana_process
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.registry import load_registry, parse_registry

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")
PORTS = Ports(9090, 9093, 8090, 3000)
BOARDS = tuple(modelplane_dashboards.files(REGISTRY))
INFINITY = "yesoreyeram-infinity-datasource"
PLUGIN = "modelplane-monitoring-datasource"
LOCAL = local_site("/plane", "/data", "127.0.0.1:9090", "127.0.0.1:9093", "127.0.0.1:8090", (0, 28))
SITES = {"containers": CONTAINERS, "this machine": LOCAL}
Source = dict[str, Any]


def provisioned(
    site: Site, path: str, boards: tuple[str, ...] = BOARDS, api: ApiAccess = "plugin"
) -> dict[str, Any]:
    return grafana.provisioning(site, 15, boards, api)[path]


def sources_of(site: Site, api: ApiAccess = "plugin") -> list[Source]:
    sources: list[Source] = provisioned(site, "datasources/modelplane.yaml", api=api)["datasources"]
    return sources


def infinity_of(site: Site) -> Source:
    (source,) = (source for source in sources_of(site, "infinity") if source["type"] == INFINITY)
    return source


def documented_sources() -> list[Source]:
    """The data sources of two organisations, as docs/grafana.md provisions them."""
    page = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(apiVersion: 1\ndatasources:\n(?:.*\n)*?)```", page)
    return [source for block in blocks for source in yaml.safe_load(block)["datasources"]]


ALL_SOURCES = [
    *(
        (f"{name}, {api}", source)
        for name, site in SITES.items()
        for api in API_ACCESSES
        for source in sources_of(site, api)
    ),
    *(("docs", source) for source in documented_sources()),
]
WITH_TOKEN = [(name, source) for name, source in ALL_SOURCES if source.get("secureJsonData")]


class RefusedError(Exception):
    """The plugin sends nothing."""


def sent_to(source: Source, panel_url: str) -> str:
    """Host and port that get the token when a panel of Infinity 3.11.1 asks for ``panel_url``.

    The plugin puts the data source's ``url`` before every text that does not begin with it, parses the result
    as Go's net/url does, and compares the text of the parsed URL with ``allowedHosts`` as *prefixes*. No host
    is compared. Go refuses a host with a backslash, a percent sign or a port that is no number, and any
    control character. RefusedError when nothing is sent.
    """
    url: str = panel_url if panel_url.startswith(source["url"]) else source["url"] + panel_url
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in url):
        raise RefusedError("a control character")
    authority = url.partition("#")[0].partition("?")[0].partition("://")[2].partition("/")[0]
    host = authority.rpartition("@")[2]
    if not re.fullmatch(r"[^\\%\s:]*(:[0-9]*)?", host):
        raise RefusedError("not a host")
    allowed: list[str] = source["jsonData"].get("allowedHosts", [])
    if allowed and not any(url.startswith(prefix) for prefix in allowed):
        raise RefusedError("not in allowedHosts")
    return host


# What a viewer can put into the URL of a panel; HOST is the backend's host and port.
LEAVING = {
    "userinfo, relative": "@127.0.0.1:9999/x",
    "userinfo, absolute": "http://HOST@127.0.0.1:9999/x",
    "userinfo with a password": "http://HOST:pass@evil.example.org/x",
    "userinfo, then the backend's path": "@evil.example.org/api/v1/alerts",
    "a host that begins with ours": ".evil.example.org/x",
    "a host that begins with ours, absolute": "http://HOST.evil.example.org/x",
    "a longer port": "9/x",
    "another port": "http://HOSTNAME:9999/x",
    "port, then userinfo": ":80@evil.example.org/x",
    "another host": "http://evil.example.org/x",
    "another scheme": "https://HOST/x",
    "scheme of a file": "file:///run/secrets/grafana-token",
    "backslash": "\\@evil.example.org/x",
    "backslashes": "\\\\evil.example.org\\x",
    "encoded at": "%40evil.example.org/x",
    "encoded slash": "%2f@evil.example.org/x",
    "query, then userinfo": "?@evil.example.org/x",
    "fragment, then userinfo": "#@evil.example.org/x",
    "tab": "\t@evil.example.org/x",
    "line feed": "\n@evil.example.org/x",
    "blank": " @evil.example.org/x",
    "IPv6": "@[::1]:9999/x",
}
# They look like it, but stay below the backend's root.
STAYING = {
    "a route": "/api/v1/rows/latency?model-name=m",
    "a route, absolute": "http://HOST/api/v1/alerts",
    "two slashes": "//evil.example.org/x",
    "a URL in the path": "/http://evil.example.org/",
    "at in the path": "/@evil.example.org/x",
    "at in the query": "/api/v1/alerts?x=@evil.example.org",
    "backslash in the path": "/\\evil.example.org/x",
    "dots": "/../../x",
}


def for_source(panel_url: str, source: Source) -> str:
    host = urlsplit(source["url"]).netloc
    return panel_url.replace("HOSTNAME", host.partition(":")[0]).replace("HOST", host)


@pytest.mark.parametrize(("where", "source"), WITH_TOKEN)
@pytest.mark.parametrize("form", LEAVING)
def test_no_url_of_a_panel_takes_the_token_to_another_host(where: str, source: Source, form: str) -> None:
    """A core Prometheus source and ours have no URL of a panel: Grafana's proxy joins paths to its own."""
    if source["type"] == "prometheus":
        assert urlsplit(source["url"]).hostname
        assert "allowedHosts" not in source["jsonData"]
        return
    if source["type"] == PLUGIN:  # the routes of its plugin.json begin with the backend's address
        assert source["jsonData"] == {"backend": source["url"]}
        return
    assert source["type"] == INFINITY
    with pytest.raises(RefusedError):
        sent_to(source, for_source(LEAVING[form], source))


@pytest.mark.parametrize("form", STAYING)
@pytest.mark.parametrize("site", SITES)
def test_routes_of_the_backend_can_be_asked_for(site: str, form: str) -> None:
    source = infinity_of(SITES[site])
    assert sent_to(source, for_source(STAYING[form], source)) == urlsplit(source["url"]).netloc


@pytest.mark.parametrize("form", ["userinfo, relative", "userinfo, absolute"])
def test_the_model_of_the_plugin_shows_the_theft_that_was_seen(form: str) -> None:
    """With the prefix that had no slash, a real Grafana sent the token to another process."""
    source = infinity_of(LOCAL)
    source["jsonData"]["allowedHosts"] = [source["url"]]
    assert sent_to(source, for_source(LEAVING[form], source)) == "127.0.0.1:9999"


@pytest.mark.slow
@pytest.mark.parametrize(("api", "key"), [("plugin", "token"), ("infinity", "bearerToken")])
def test_grafana_has_a_token_that_reads_and_no_other(api: ApiAccess, key: str) -> None:
    path = f"/run/secrets/{GRAFANA.file}"
    assert GRAFANA.role == "reader"
    sources = sources_of(CONTAINERS, api)
    assert [source["secureJsonData"] for source in sources if "secureJsonData" in source] == [
        {key: f"$__file{{{path}}}"}
    ]
    volumes = compose(container_files(REGISTRY, "1:1"))["grafana"]["volumes"]
    mounted = {volume["source"]: volume["target"] for volume in volumes if "secrets" in volume["source"]}
    assert mounted == {"./secrets/grafana": "/run/secrets"}
    assert [secret.file for secret in SECRETS if secret.part == "grafana"] == [
        "grafana-token",
        "grafana-admin-password",
        "grafana-secret-key",
    ]


def compose(files: dict[str, bytes]) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(files["compose.yaml"])["services"]
    return services


@pytest.mark.parametrize("site", SITES)
def test_names_are_ours(site: str) -> None:
    names = [source["name"] for source in sources_of(SITES[site])]
    assert names == ["Modelplane Prometheus", "Modelplane", "Modelplane Alertmanager"]
    providers = provisioned(SITES[site], "dashboards/modelplane.yaml")["providers"]
    assert [(provider["folder"], provider["folderUid"]) for provider in providers] == [
        ("Modelplane", "modelplane"),
        ("Modelplane tenants", "modelplane-tenants"),
        ("Modelplane models", "modelplane-models"),
    ]
    assert len({provider["name"] for provider in providers}) == 3
    assert all("foldersFromFilesStructure" not in provider["options"] for provider in providers)


def test_boards_and_annotations_know_data_sources_by_uid_and_not_by_name() -> None:
    """Or a new name would leave them without data."""
    for content in modelplane_dashboards.files(REGISTRY).values():
        assert b"Modelplane Prometheus" not in content
        assert re.search(rb'"datasource": "(?!--)', content) is None


@pytest.mark.slow
def test_the_default_is_ours_only_in_a_grafana_that_we_start() -> None:
    ours, theirs = CONTAINERS, dataclasses.replace(CONTAINERS, starts_grafana=False)
    assert [source["isDefault"] for source in sources_of(ours)] == [True, False, False]
    assert [source["isDefault"] for source in sources_of(theirs)] == [False, False, False]
    assert "grafana" in compose(container_files(REGISTRY, "1:1"))
    files = container_files(REGISTRY, "1:1", starts_grafana=False)
    assert "grafana" not in compose(files)
    assert b"isDefault: true" not in files["grafana/provisioning/datasources/modelplane.yaml"]


@pytest.mark.slow
def test_each_provider_points_at_a_folder_of_boards_that_is_mounted(tmp_path: Path) -> None:
    files = container_files(REGISTRY, "1:1")
    write_bundle(tmp_path, files, REGISTRY, EXAMPLES)
    (mount,) = (
        (volume["source"], volume["target"])
        for volume in compose(files)["grafana"]["volumes"]
        if volume["target"] == CONTAINERS.grafana_dashboards
    )
    for provider in provisioned(CONTAINERS, "dashboards/modelplane.yaml")["providers"]:
        inside = Path(provider["options"]["path"]).relative_to(mount[1])
        assert list((tmp_path / mount[0] / inside).glob("mp-*.json"))


def test_a_folder_without_boards_has_no_provider() -> None:
    providers = provisioned(CONTAINERS, "dashboards/modelplane.yaml", ("boards/mp-fleet.json",))["providers"]
    assert [provider["name"] for provider in providers] == ["modelplane"]


@pytest.mark.parametrize(("boards", "seconds"), [(1, 30), (60, 30), (61, 30), (1_000, 500), (11_000, 5_500)])
def test_many_boards_are_scanned_less_often(boards: int, seconds: int) -> None:
    paths = tuple(f"models/mp-model-{number}.json" for number in range(boards))
    (provider,) = provisioned(CONTAINERS, "dashboards/modelplane.yaml", paths)["providers"]
    assert provider["updateIntervalSeconds"] == seconds


def test_a_grafana_with_many_boards_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "grafana").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    few, many = (
        grafana_process(tmp_path, tmp_path, PORTS, "http://localhost:3000/", tmp_path, boards)
        for boards in (9, 11_000)
    )
    assert (few.patience, many.patience) == (PATIENCE_SECONDS, 5_500)
    on_host = yaml.safe_load(grafana_on_host("/plane", "http://localhost:3000/", 11_000))
    assert on_host["services"]["grafana"]["healthcheck"]["start_period"] == "5500s"


@pytest.mark.slow
@pytest.mark.parametrize("api", ["plugin", "infinity", "none"])
def test_each_secret_that_grafana_is_told_of_is_in_what_it_mounts(tmp_path: Path, api: ApiAccess) -> None:
    files = container_files(REGISTRY, "1:1", api=api)
    write_bundle(tmp_path, files, REGISTRY, EXAMPLES)
    service = compose(files)["grafana"]
    on_host = yaml.safe_load(grafana_on_host(str(tmp_path), "http://localhost:3000/"))["services"]["grafana"]
    (mount,) = (volume for volume in service["volumes"] if volume["target"] == "/run/secrets")
    mounted = str(tmp_path / mount["source"])
    for environment in (service["environment"], on_host["environment"]):
        named = {name: path for name, path in environment.items() if name.endswith("__FILE")}
        assert named.keys() == {"GF_SECURITY_ADMIN_PASSWORD__FILE", "GF_SECURITY_SECRET_KEY__FILE"}
        for path in named.values():
            assert Path(path.replace("/run/secrets", mounted)).read_bytes()


@pytest.mark.slow
def test_a_healthy_start_logs_no_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of the log of a real Grafana that an own setting or folder would have prevented."""
    write_bundle(tmp_path, container_files(REGISTRY, "1:1"), REGISTRY, EXAMPLES)
    for folder in ("alerting", "dashboards", "datasources", "plugins"):
        assert (tmp_path / "grafana/provisioning" / folder).is_dir(), folder
    assert all(not list((tmp_path / folder).iterdir()) for folder in EMPTY_FOLDERS)
    program = tmp_path / "grafana-server" / "grafana"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    on_host = yaml.safe_load(grafana_on_host("/plane", "http://localhost:3000/"))["services"]["grafana"][
        "environment"
    ]
    process = grafana_process(tmp_path, tmp_path, PORTS, "http://localhost:3000/", tmp_path)
    containers = compose(container_files(REGISTRY, "1:1"))["grafana"]["environment"]
    for environment in (containers, on_host, process.env):
        expected = {
            "GF_LOG_MODE": "console",
            "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
            "GF_FEATURE_TOGGLES_pluginsDynamicAngularDetectionPatterns": "false",
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        }
        assert expected.items() <= dict(environment).items()
        assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
        allowed = environment["GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS"].split(",")
        assert allowed == ["modelplane-monitoring-app", PLUGIN]
    assert process.env["GF_PATHS_PLUGINS"] == str(tmp_path / "grafana/plugins")
    assert on_host["GF_PATHS_PLUGINS"] == "/plane/grafana/plugins"


ORGANISATIONS = """
grafana:
  issuer: http://localhost:3000/
  organisations: {1: all}
  tenant_organisations:
    - {name: North clinic, tenants: [north-clinic], number: 2}
    - {name: Vision, tenants: [vision-lab]}
  data_sources: {manage_alerts: false, exemplars: {data_source: tempo}}
"""


def with_organisations(api: ApiAccess = "plugin", section: str = ORGANISATIONS) -> dict[str, dict[str, Any]]:
    text = (EXAMPLES / "modelplane.yaml").read_text(encoding="utf-8") + section
    return grafana.provisioning(CONTAINERS, 15, BOARDS, api, parse_registry(text).grafana)


def test_an_organisation_with_a_number_has_its_part_of_the_files() -> None:
    """One without is not named: Grafana ends at the number of an organisation that it does not know."""
    files = with_organisations()
    sources = [source for source in files["datasources/modelplane.yaml"]["datasources"] if "orgId" in source]
    assert [(source["orgId"], source["uid"], source["isDefault"]) for source in sources] == [
        (2, "modelplane-prometheus", True),
        (2, "modelplane", False),
    ]
    token = "$__file{/run/secrets/mp-org-north-clinic-54e389-token}"
    prometheus, backend = sources
    assert prometheus["url"] == "http://backend:8090/prometheus"
    assert prometheus["secureJsonData"] == {"httpHeaderValue1": f"Bearer {token}"}
    assert backend["secureJsonData"] == {"token": token}
    assert files["plugins/modelplane.yaml"]["apps"] == [
        {"type": "modelplane-monitoring-app", "org_id": number, "disabled": False} for number in (1, 2)
    ]
    providers = files["dashboards/modelplane.yaml"]["providers"]
    assert [(provider["orgId"], provider["folderUid"]) for provider in providers] == [
        (1, "modelplane"),
        (1, "modelplane-tenants"),
        (1, "modelplane-models"),
        (2, "mp-org-north-clinic-54e389"),
    ]
    assert len({provider["folderUid"] for provider in providers}) == len(providers)
    assert providers[-1]["options"]["path"] == providers[0]["options"]["path"]


def test_no_raw_server_is_shown_to_tenants() -> None:
    for api in API_ACCESSES:
        sources = with_organisations(api)["datasources/modelplane.yaml"]["datasources"]
        of_tenants = [source for source in sources if source.get("orgId") == 2]
        assert {urlsplit(source["url"]).netloc for source in of_tenants} == {CONTAINERS.backend}
        assert all(source["secureJsonData"] for source in of_tenants)
        assert [source.get("orgId") for source in sources if source["type"] == "alertmanager"] == [None]


def test_choices_about_data_sources_are_the_registrys() -> None:
    (prometheus, *_) = sources_of(CONTAINERS)
    assert prometheus["jsonData"] == {
        "httpMethod": "POST", "timeInterval": "15s", "manageAlerts": True,
        "allowAsRecordingRulesTarget": False,
    }  # fmt: skip
    (chosen, *_) = with_organisations()["datasources/modelplane.yaml"]["datasources"]
    assert chosen["jsonData"]["manageAlerts"] is False
    assert chosen["jsonData"]["exemplarTraceIdDestinations"] == [
        {"name": "trace_id", "datasourceUid": "tempo"}
    ]
    never = ORGANISATIONS.replace("{manage_alerts: false", "{is_default: false, manage_alerts: false")
    sources = with_organisations(section=never)["datasources/modelplane.yaml"]["datasources"]
    assert [source["orgId"] for source in sources if source["isDefault"]] == [2]


def test_a_grafana_that_begins_empty_is_told_of_no_organisation() -> None:
    """``modelplane up`` starts one, and a registry may have the numbers of another."""
    registry = parse_registry((EXAMPLES / "modelplane.yaml").read_text(encoding="utf-8") + ORGANISATIONS)
    section = grafana.for_new_grafana(registry).grafana
    files = grafana.provisioning(LOCAL, 15, BOARDS, section=section)
    assert "orgId: 2" not in yaml.safe_dump(files)
    assert section
    assert section.access
    assert set(section.access.organisations) == {"1"}
    assert grafana.for_new_grafana(REGISTRY) == REGISTRY
