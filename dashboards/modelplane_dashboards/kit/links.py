"""Links between boards, which keep the time and what is selected."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.views import Link
from modelplane_schema.uids import PLUGIN_APP_ID, template_uid

VALUE = "${__value.raw:percentencode}"
_PLUGIN = f"/a/{PLUGIN_APP_ID}/"
API_VARIABLE = "${api:queryparam}"
_ALWAYS = (API_VARIABLE, "${datasource:queryparam}", "${__url_time_range}")


def field(name: str) -> str:
    """The value of another column of the row, by its heading; the column may be hidden."""
    return f'${{__data.fields["{name}"]:percentencode}}'


def board_link(kind: str, title: str, /, *keep: str, **values: str) -> Link:
    """A link to the board of a kind: ``values`` are those of its variables, ``keep`` what stays."""
    return uid_link(template_uid(kind), title, *keep, **values)


def model_link(*keep: str) -> Link:
    """From a cell with the name of a model to its board."""
    return board_link("model", "Board of this model", *keep, model=VALUE)


def tenant_link(*keep: str) -> Link:
    """From a cell with the id of a tenant to its board."""
    return board_link("tenant", "Board of this tenant", *keep, tenant=VALUE)


def uid_link(uid: str, title: str, /, *keep: str, **values: str) -> Link:
    """The same to the board of a uid."""
    parameters = [f"var-{variable}={value}" for variable, value in values.items()]
    kept = [f"${{{variable}:queryparam}}" for variable in keep]
    return Link(title, f"/d/{uid}?{'&'.join((*parameters, *kept, *_ALWAYS))}")


def incident_link(column: str) -> Link:
    """A link to the plugin's page of the incident whose id another ``column`` of the row holds."""
    return Link("Incident", f"{_PLUGIN}incidents/{field(column)}?${{__url_time_range}}")


def without_api(link: Link) -> Link:
    """``link`` between boards that do not read the backend, and have no variable for it."""
    return replace(link, url=link.url.replace(f"&{API_VARIABLE}", "").replace(f"{API_VARIABLE}&", ""))


def is_plugin_page(link: Link) -> bool:
    return link.url.startswith(_PLUGIN)
