"""The plugin in the bundle: loaded from its files, allowed by its ids, and asked by whom Grafana says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelplane_dashboards import ApiAccess
from modelplane_datasource.tenancy.tokens import TokenFile, load_tokens
from modelplane_provisioning.bundle import grafana, grafana_plugin
from modelplane_provisioning.bundle.credentials import TOKENS
from modelplane_provisioning.bundle.site import CONTAINERS, local_site
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.cli import cli
from modelplane_provisioning.compose import grafana_on_host
from modelplane_provisioning.compose.containers import container_files, container_site
from modelplane_schema.grafana_access import GrafanaAccess
from modelplane_schema.grafana_section import GrafanaSection
from modelplane_schema.registry import Registry, load_registry
from modelplane_schema.uids import PLUGIN_APP_ID, PLUGIN_DATASOURCE_ID

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")
APP = f"grafana/plugins/{PLUGIN_APP_ID}"
LOCAL = local_site("/p", "/d", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", (0, 28), grafana_port=3456)
ELSEWHERE = GrafanaSection(issuer="https://grafana.example.org/", organisations={"2": ("north-clinic",)})
DECLARED = REGISTRY.model_copy(update={"grafana": ELSEWHERE})


def service(files: dict[str, bytes], name: str = "grafana") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(files["compose.yaml"])["services"][name]
    return content


def written(
    out: Path, registry: Registry = REGISTRY, *, api: ApiAccess = "plugin", starts_grafana: bool = True
) -> TokenFile:
    """The token file of a bundle that was written below ``out``."""
    site = container_site(starts_grafana=starts_grafana)
    files = container_files(registry, "1:1", api=api, starts_grafana=starts_grafana)
    write_bundle(out, files, registry, EXAMPLES, grafana.trust(registry, site, api))
    return load_tokens(out / "secrets" / TOKENS.path)


def of_boards(tokens: TokenFile) -> tuple[str, object]:
    """The role of Grafana's token, and what it reads without an identity."""
    (token,) = (token for token in tokens.tokens if token.name == "grafana")
    return token.role, token.without_identity


@pytest.mark.slow
def test_the_bundle_holds_the_built_plugin_byte_for_byte() -> None:
    built = {
        f"{APP}/{path.relative_to(ROOT / 'plugin/dist').as_posix()}": path.read_bytes()
        for path in (ROOT / "plugin" / "dist").rglob("*")
        if path.is_file()
    }
    files = container_files(REGISTRY, "1:1")
    assert {path: content for path, content in files.items() if path.startswith("grafana/plugins/")} == built
    assert {f"{APP}/plugin.json", f"{APP}/module.js", f"{APP}/datasource/module.js"} <= built.keys()


def test_its_ids_are_those_that_grafana_is_told() -> None:
    files = grafana_plugin.files("")
    ids = [json.loads(files[f"/{PLUGIN_APP_ID}/{path}plugin.json"])["id"] for path in ("", "datasource/")]
    assert ids == [PLUGIN_APP_ID, PLUGIN_DATASOURCE_ID]


@pytest.mark.slow
def test_nothing_is_downloaded_at_start() -> None:
    """Grafana finds the plugin in a mounted folder, and installs nothing."""
    containers = service(container_files(REGISTRY, "1:1"))
    mounted = {volume["source"]: volume["target"] for volume in containers["volumes"]}
    assert mounted["./grafana/plugins"] == containers["environment"]["GF_PATHS_PLUGINS"]
    on_host = yaml.safe_load(grafana_on_host("/plane", "http://localhost:3000/"))["services"]["grafana"]
    for environment in (containers["environment"], on_host["environment"]):
        assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
        assert not [name for name in environment if name.startswith("GF_PLUGINS_PREINSTALL_SYNC")]
    assert on_host["environment"]["GF_PATHS_PLUGINS"] == "/plane/grafana/plugins"
    seen = {volume["source"]: volume["target"] for volume in on_host["volumes"]}
    assert seen == {"./grafana": "/plane/grafana", "./secrets/grafana": "/plane/secrets/grafana"}


def test_the_app_is_enabled_and_its_data_source_provisioned() -> None:
    provisioning = grafana.provisioning(CONTAINERS, 15, ())
    apps = provisioning["plugins/modelplane.yaml"]["apps"]
    assert apps == [{"type": PLUGIN_APP_ID, "org_id": 1, "disabled": False}]
    _, api, _ = provisioning["datasources/modelplane.yaml"]["datasources"]
    assert (api["type"], api["uid"], api["access"]) == (PLUGIN_DATASOURCE_ID, "modelplane", "proxy")
    assert api["jsonData"] == {"backend": "http://backend:8090"}


@pytest.mark.slow
def test_with_infinity_nothing_of_the_plugin_is_there() -> None:
    files = container_files(REGISTRY, "1:1", api="infinity")
    assert not [path for path in files if path.startswith("grafana/plugins/")]
    assert b"modelplane-monitoring" not in b"".join(files.values())
    built = service(files)
    assert built["environment"]["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    assert built["environment"]["GF_PATHS_PLUGINS"] == "/plugins"
    assert "./grafana/plugins" not in [volume["source"] for volume in built["volumes"]]
    arguments = built["build"]["args"]
    assert (arguments["PLUGIN"], arguments["PLUGIN_RELEASE"]) == ("yesoreyeram-infinity-datasource", "3.11.1")
    assert built["build"]["target"] == "grafana"
    stage = files["image/Dockerfile"].decode().partition("FROM ${GRAFANA_IMAGE} AS grafana\n")[2]
    assert 'plugins install "${PLUGIN}" "${PLUGIN_RELEASE}"' in stage


@pytest.mark.slow
def test_without_an_api_the_backend_is_no_data_source_and_nothing_is_installed() -> None:
    files = container_files(REGISTRY, "1:1", api="none")
    assert not [path for path in files if path.startswith("grafana/plugins/")]
    sources = yaml.safe_load(files["grafana/provisioning/datasources/modelplane.yaml"])["datasources"]
    assert [source["uid"] for source in sources] == ["modelplane-prometheus", "modelplane-alertmanager"]
    assert service(files)["environment"]["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


@pytest.mark.slow
def test_another_access_takes_the_plugin_away_and_no_plugin_of_others(tmp_path: Path) -> None:
    written(tmp_path)
    other = tmp_path / "grafana" / "plugins" / "other" / "plugin.json"
    other.parent.mkdir()
    other.touch()
    assert (tmp_path / APP / "module.js").is_file()
    written(tmp_path, api="infinity")
    assert not list((tmp_path / APP).rglob("*.js"))
    assert other.is_file()


@pytest.mark.parametrize(
    ("site", "issuer", "keys"),
    [
        (CONTAINERS, "http://localhost:3000/", "http://grafana:3000/api/signing-keys/keys"),
        (LOCAL, "http://localhost:3456/", "http://127.0.0.1:3456/api/signing-keys/keys"),
    ],
)
def test_a_grafana_of_ours_signs_with_the_address_that_the_backend_believes(
    site: Any, issuer: str, keys: str
) -> None:
    default = grafana.trust(REGISTRY, site, "plugin").default
    assert default is not None
    assert (default.issuer, default.keys_url, default.organisations) == (issuer, keys, {"1": "all"})
    root = grafana.root_url(REGISTRY, site)
    assert grafana.settings("plugin", "/plugins", "/boards", root)["GF_SERVER_ROOT_URL"] == issuer


@pytest.mark.slow
def test_in_a_grafana_of_ours_everybody_reads_and_editors_write_by_identity(tmp_path: Path) -> None:
    tokens = written(tmp_path)
    assert of_boards(tokens) == ("grafana", "all")
    assert tokens.grafana is not None
    assert tokens.grafana.tenants_of("1", "Viewer", "user:1") == "all"
    assert tokens.grafana.tenants_of("2", "Admin", "user:1") is None
    assert written(tmp_path) == tokens, "a second run changes nothing"


@pytest.mark.slow
def test_what_the_registry_declares_outweighs_everything(tmp_path: Path) -> None:
    """And without an identity nothing is read: it would be more than the identity shows."""
    written(tmp_path)
    tokens = written(tmp_path, DECLARED)
    assert of_boards(tokens) == ("grafana", None)
    assert tokens.grafana is not None
    assert tokens.grafana.organisations == {"2": ("north-clinic",)}
    assert service(container_files(DECLARED, "1:1"))["environment"]["GF_SERVER_ROOT_URL"] == ELSEWHERE.issuer
    assert tokens.grafana.keys_url == "http://grafana:3000/api/signing-keys/keys"
    theirs = written(tmp_path / "theirs", DECLARED, starts_grafana=False)
    assert theirs.grafana == ELSEWHERE.access
    assert of_boards(theirs) == ("grafana", None)


@pytest.mark.slow
def test_infinity_sends_no_identity_and_has_a_token_that_reads(tmp_path: Path) -> None:
    assert of_boards(written(tmp_path)) == ("grafana", "all")
    assert of_boards(written(tmp_path, api="infinity")) == ("reader", None)
    tokens = written(tmp_path, DECLARED, api="infinity")
    assert of_boards(tokens) == ("reader", None)
    assert tokens.grafana is not None
    assert tokens.grafana.issuer == ELSEWHERE.issuer, "for the other data sources of that Grafana"


@pytest.mark.slow
def test_a_grafana_of_others_is_believed_only_when_it_is_declared(tmp_path: Path) -> None:
    tokens = written(tmp_path, starts_grafana=False)
    assert (of_boards(tokens), tokens.grafana) == (("reader", None), None)


@pytest.mark.slow
def test_organisations_that_somebody_added_stay_and_see_no_more_without_an_identity(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "secrets" / TOKENS.path
    content = json.loads(path.read_text(encoding="utf-8"))
    content["grafana"]["organisations"]["2"] = ["north-clinic"]
    content["grafana"]["issuer"] = "http://localhost:9999/"  # of another run, on another port
    path.write_text(json.dumps(content), encoding="utf-8")
    tokens = written(tmp_path)
    assert tokens.grafana is not None
    assert tokens.grafana.organisations == {"1": "all", "2": ("north-clinic",)}
    assert tokens.grafana.issuer == "http://localhost:3000/"
    assert of_boards(tokens) == ("grafana", None)


@pytest.mark.slow
def test_a_section_of_before_the_plugin_stays_as_it_is(tmp_path: Path) -> None:
    written(tmp_path, api="infinity")
    path = tmp_path / "secrets" / TOKENS.path
    content = json.loads(path.read_text(encoding="utf-8"))
    section: dict[str, Any] = {"issuer": "http://mine.example.org/", "organisations": {"7": "all"}}
    path.write_text(json.dumps({**content, "grafana": section}), encoding="utf-8")
    tokens = written(tmp_path)
    assert of_boards(tokens) == ("reader", None)
    assert tokens.grafana == GrafanaAccess(**section)


@pytest.mark.slow
def test_the_commands_take_how_boards_read_the_backend(tmp_path: Path) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(cli, [*arguments, "--registry", str(EXAMPLES / "modelplane.yaml")])
        assert result.exit_code == status, result.output
        return result.output

    out = ("--out", str(tmp_path / "boards"))
    run("dashboards", "generate", *out, "--api", "none")
    run("dashboards", "check", *out, "--api", "none")
    assert "--api infinity" in run("dashboards", "check", *out, "--api", "infinity", status=1)
    assert "'plugin', 'infinity', 'none'" in run("dashboards", "generate", *out, "--api", "json", status=2)
    bundle = tmp_path / "bundle"
    run("bundle", "--out", str(bundle))
    assert of_boards(load_tokens(bundle / "secrets" / TOKENS.path)) == ("grafana", "all")
    assert (bundle / APP / "datasource" / "module.js").is_file()
    run("bundle", "--out", str(bundle), "--api", "infinity")
    assert of_boards(load_tokens(bundle / "secrets" / TOKENS.path)) == ("reader", None)
