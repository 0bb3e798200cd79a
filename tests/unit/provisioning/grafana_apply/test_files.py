"""Files and API give an organisation of tenants the same, and the files name tokens that the bundle makes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelplane_dashboards import ApiAccess
from modelplane_datasource.tenancy.tokens import Gatekeeper
from modelplane_provisioning.bundle import grafana
from modelplane_provisioning.bundle.credentials import TOKENS, ensure_credentials
from modelplane_provisioning.bundle.site import local_site
from modelplane_schema.registry import parse_registry
from provisioning_support.grafana_wanted import EXAMPLE, SECTION, wanted

NUMBERED = SECTION.replace("clinic]}", "clinic], number: 2}")
BOARDS = ("boards/mp-fleet.json", "models/mp-model-x.json")


def sources_in(folder: Path, api: ApiAccess) -> list[dict[str, Any]]:
    """The data sources of organisation 2 in the files of a plane whose bundle is in ``folder``."""
    registry = parse_registry(EXAMPLE + NUMBERED)
    site = local_site(str(folder), "/data", "prometheus:9090", "alertmanager:9093", "backend:8090", (0, 28))
    ensure_credentials(folder / "secrets", grafana.trust(registry, site, api))
    files = grafana.provisioning(site, 15, BOARDS, api, registry.grafana)
    content = yaml.safe_load(yaml.safe_dump(files["datasources/modelplane.yaml"]))
    return [source for source in content["datasources"] if source.get("orgId") == 2]


@pytest.mark.parametrize(("api", "role"), [("plugin", "tenant"), ("infinity", "reader")])
def test_the_tokens_that_files_name_are_made_and_see_the_tenants_alone(
    api: ApiAccess, role: str, tmp_path: Path
) -> None:
    gatekeeper = None
    for source in sources_in(tmp_path, api):
        (secret,) = source["secureJsonData"].values()
        path = re.fullmatch(r"(?:Bearer )?\$__file\{(.*)\}", secret)
        assert path
        token = Path(path[1]).read_text(encoding="ascii")
        gatekeeper = gatekeeper or Gatekeeper(tmp_path / "secrets" / TOKENS.path)
        caller = gatekeeper.caller(f"Bearer {token}", None)
        assert caller
        assert (caller.role, caller.tenants) == (role, ("north-clinic", "south-clinic"))


@pytest.mark.parametrize("api", ["plugin", "infinity", "none"])
def test_files_and_api_give_the_same_data_sources(api: ApiAccess, tmp_path: Path) -> None:
    by_files = sources_in(tmp_path, api)
    by_api = wanted(api=api)[1].sources
    assert [
        (each["name"], each["uid"], each["type"], each["url"], each["jsonData"]) for each in by_files
    ] == [
        (each.name, each.uid, each.type, each.url, json.loads(json.dumps(dict(each.settings))))
        for each in by_api
    ]
