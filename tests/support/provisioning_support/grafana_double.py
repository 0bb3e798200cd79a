"""A double of Grafana 12.4: keeps state, and answers as a real one was seen to answer."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from http_servers import serving_by
from provisioning_support import grafana_data_path
from provisioning_support.grafana_state import PASSWORD, GrafanaState, Identity, OrganisationState

Reply = tuple[int, Any]
ADMIN_LOGIN = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
FOLDER = "grafana.app/folder"


class RefusedError(Exception):
    def __init__(self, status: int, content: Any) -> None:
        super().__init__(status)
        self.reply = status, content


class Call(NamedTuple):
    """One request as a route sees it; ``raw`` is the path as it was sent."""

    state: GrafanaState
    identity: Identity
    method: str
    raw: str
    query: dict[str, list[str]]
    body: Any

    @property
    def organisation(self) -> OrganisationState:
        return self.identity.organisation

    def need(self, action: str, *scopes: str) -> None:
        if self.identity.may(action, *scopes):
            return
        if self.raw.startswith("/apis"):
            raise RefusedError(403, {"kind": "Status", "status": "Failure", "code": 403})
        message = f"You'll need additional permissions to perform this action. Permissions needed: {action}"
        raise RefusedError(403, {"accessErrorId": "ACE1", "message": message, "title": "Access denied"})


def status(code: int, reason: str, message: str, **details: Any) -> Reply:
    content = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return code, {**content, **details}


def apis(call: Call) -> Reply:
    groups: dict[str, list[dict[str, str]]] = {}
    for name in call.state.api_versions:
        groups.setdefault(name.partition("/")[0], []).append({"groupVersion": name})
    listed = [{"name": name, "versions": versions} for name, versions in groups.items()]
    return 200, {"kind": "APIGroupList", "groups": listed}


def check_namespace(call: Call, namespace: str) -> None:
    number = call.organisation.number
    if namespace != ("default" if number == 1 else f"org-{number}"):
        raise RefusedError(403, {"kind": "Status", "status": "Failure", "code": 403})


def folders(call: Call, namespace: str, uid: str = "") -> Reply:
    check_namespace(call, namespace)
    known = call.organisation.folders
    if call.method == "GET":
        call.need("folders:read", f"folders:uid:{uid}")
        if uid not in known:
            return status(404, "NotFound", f'folders.folder.grafana.app "{uid}" not found')
        return 200, known[uid]
    parent = (call.body["metadata"].get("annotations") or {}).get(FOLDER, "general")
    call.need("folders:create", f"folders:uid:{parent}")
    name = call.body["metadata"]["name"]
    if name in known:
        return status(412, "Conflict", "the folder has been changed by someone else")
    known[name] = call.body
    return 201, call.body


def boards(call: Call, namespace: str, uid: str = "") -> Reply:
    check_namespace(call, namespace)
    if "dashboard.grafana.app/v0alpha1" not in call.state.api_versions:
        return 404, {"kind": "Status", "status": "Failure", "code": 404}
    known = call.organisation.boards
    if call.method == "POST":
        return create_board(call)
    if uid not in known:
        call.need("dashboards:read", f"dashboards:uid:{uid}")
        return status(404, "NotFound", f'dashboards.dashboard.grafana.app "{uid}" not found')
    board = known[uid]
    scopes = f"dashboards:uid:{uid}", f"folders:uid:{board['metadata']['annotations'].get(FOLDER, 'general')}"
    if call.method == "GET":
        call.need("dashboards:read", *scopes)
        return 200, copy.deepcopy(board)
    wanted = (call.body.get("metadata") or call.body.get("preconditions") or {}).get("resourceVersion")
    call.need("dashboards:delete" if call.method == "DELETE" else "dashboards:write", *scopes)
    if wanted not in (None, board["metadata"]["resourceVersion"]):
        return status(
            409, "Conflict", f"Operation cannot be fulfilled on {uid}: the object has been modified"
        )
    if call.method == "DELETE":
        if "grafana.app/managedBy" in board["metadata"]["annotations"]:
            return status(400, "BadRequest", "provisioned dashboard cannot be deleted")
        del known[uid]
        return 200, {"kind": "Status", "status": "Success"}
    return 200, store_board(call, uid)


def create_board(call: Call) -> Reply:
    metadata = call.body["metadata"]
    folder, uid = metadata["annotations"].get(FOLDER, "general"), metadata["name"]
    call.need("dashboards:create", f"folders:uid:{folder}")
    if folder not in call.organisation.folders:
        return status(404, "NotFound", f'folders.folder.grafana.app "{folder}" not found')
    if len(uid) > 40:
        return status(400, "BadRequest", "uid too long, max 40 characters")
    if uid in call.organisation.boards:
        return status(409, "AlreadyExists", f'dashboards.dashboard.grafana.app "{uid}" already exists')
    positions = [panel.get("gridPos", {}).get("x", 0) for panel in call.body["spec"].get("panels", ())]
    if not all(isinstance(position, int) for position in positions):
        causes = [{"field": "spec.panels[0].gridPos.x", "message": "conflicting values"}]
        return status(422, "Invalid", f'Dashboard "{uid}" is invalid', details={"causes": causes})
    return 201, store_board(call, uid)


def store_board(call: Call, uid: str) -> Any:
    """What a client leaves out is gone; ``generation`` grows when the spec changes, and then alone."""
    before = call.organisation.boards.get(uid)
    metadata = {"labels": {}, "annotations": {}, **call.body["metadata"]}
    generation = before["metadata"]["generation"] if before else 0
    metadata["generation"] = generation + (before is None or before["spec"] != call.body["spec"])
    metadata["resourceVersion"] = str(next(call.state.ids))
    board = {**call.body, "metadata": metadata, "status": {}}
    call.organisation.boards[uid] = copy.deepcopy(board)
    return board


def search(call: Call) -> Reply:
    """Of boards that the index knows, those that the identity may see."""
    wanted = call.query.get("folderUIDs", [])
    rows = []
    for uid in sorted(call.organisation.indexed & call.organisation.boards.keys()):
        folder = call.organisation.boards[uid]["metadata"]["annotations"].get(FOLDER, "")
        if folder in wanted and call.identity.may("dashboards:read", f"folders:uid:{folder}"):
            rows.append({"uid": uid, "type": "dash-db", "folderUid": folder})
    limit, page = int(call.query["limit"][0]), int(call.query["page"][0])
    return 200, rows[(page - 1) * limit : page * limit]


def sources(call: Call, uid: str = "") -> Reply:
    known = call.organisation.sources
    if call.method == "GET":
        call.need("datasources:read")
        return 200, [
            {key: value for key, value in source.items() if key != "secureJsonData"}
            for source in known.values()
        ]
    if call.method == "POST":
        call.need("datasources:create")
        if any(source["name"] == call.body["name"] for source in known.values()):
            return 409, {"message": "data source with the same name already exists"}
        return 200, store_source(call, {"id": next(call.state.ids), "readOnly": False, **call.body})
    call.need(
        "datasources:delete" if call.method == "DELETE" else "datasources:write", f"datasources:uid:{uid}"
    )
    if uid not in known:
        return 404, {"message": "Data source not found"}
    if known[uid]["readOnly"]:
        return 403, {"message": "Cannot update read-only data source"}
    if call.method == "DELETE":
        del known[uid]
        return 200, {"message": "Data source deleted"}
    return 200, store_source(call, {**known[uid], **call.body})


def store_source(call: Call, source: dict[str, Any]) -> Any:
    if source.get("isDefault"):
        for other in call.organisation.sources.values():
            other["isDefault"] = False
    call.organisation.sources[source["uid"]] = source
    return {"message": "Datasource added", "datasource": {"uid": source["uid"], "id": source["id"]}}


def organisations(call: Call, name: str = "") -> Reply:
    if call.method == "POST":
        call.need("orgs:create")
    known = {each.name: each for each in call.state.organisations.values()}
    if call.method == "GET" and not name:
        return 200, [{"id": each.number, "name": each.name} for each in known.values()]
    if call.method == "GET":
        organisation = known.get(name)
        return (
            (200, {"id": organisation.number, "name": name})
            if organisation
            else (404, {"message": "Organization not found"})
        )
    if call.body["name"] in known:
        return 409, {"message": "Organization name taken"}
    return 200, {
        "orgId": call.state.add_organisation(call.body["name"]).number,
        "message": "Organization created",
    }


def plugin_settings(call: Call, plugin: str) -> Reply:
    if plugin not in call.state.plugins:
        return 404, {"message": "Plugin not found"}
    if call.method == "POST":
        call.need("plugins:write", f"plugins:id:{plugin}")
        call.organisation.enabled.add(plugin)
    enabled, info = plugin in call.organisation.enabled, {"version": call.state.plugin_version}
    return 200, {"id": plugin, "enabled": enabled, "info": info}


def older_boards(call: Call, uid: str) -> Reply:
    """The API of all versions adds keys of its own."""
    board = call.organisation.boards.get(uid)
    call.need("dashboards:read", f"dashboards:uid:{uid}")
    if board is None:
        return 404, {"message": "Dashboard not found"}
    return 200, {"dashboard": {**board["spec"], "uid": uid, "id": 7, "version": 1}, "meta": {"slug": uid}}


def accounts(call: Call, number: str = "") -> Reply:
    if call.method == "DELETE":
        call.need("serviceaccounts:delete", f"serviceaccounts:id:{number}")
        account = call.state.accounts.pop(int(number))
        call.state.tokens = {key: each for key, each in call.state.tokens.items() if each is not account}
        return 200, {"message": "Service account deleted"}
    call.need("serviceaccounts:create")
    account = call.state.add_account(call.body["name"], call.body["role"], call.organisation.number)
    return 201, account_row(account)


def account_row(account: Any) -> dict[str, Any]:
    return {"id": account.id, "name": account.name, "role": account.role, "orgId": account.organisation}


def account_search(call: Call) -> Reply:
    call.need("serviceaccounts:read")
    known = [each for each in call.state.accounts.values() if each.organisation == call.organisation.number]
    rows = [account_row(each) for each in known if call.query["query"][0] in each.name]
    return 200, {"totalCount": len(rows), "serviceAccounts": rows}


def account_tokens(call: Call, number: str) -> Reply:
    call.need("serviceaccounts:write", f"serviceaccounts:id:{number}")
    return 200, {
        "id": 1,
        "name": call.body["name"],
        "key": call.state.token_of(call.state.accounts[int(number)]),
    }


def folder_permissions(call: Call, uid: str, account: str = "") -> Reply:
    if call.method == "POST":
        call.need("folders.permissions:write", f"folders:uid:{uid}")
        call.state.accounts[int(account)].edits.add(uid)
        return 200, {"message": "Permission updated"}
    call.need("folders.permissions:read", f"folders:uid:{uid}")
    editors = [each for each in call.state.accounts.values() if uid in each.edits]
    return 200, [{"userId": each.id, "userLogin": each.name, "permission": "Edit"} for each in editors]


def permissions(call: Call) -> Reply:
    return 200, call.identity.permissions


ROUTES: list[tuple[str, Callable[..., Reply]]] = [
    ("/apis", apis),
    (r"/apis/folder.grafana.app/v1beta1/namespaces/([^/]+)/folders(?:/([^/]+))?", folders),
    (r"/apis/dashboard.grafana.app/v0alpha1/namespaces/([^/]+)/dashboards(?:/([^/]+))?", boards),
    (r"/api/dashboards/uid/([^/]+)", older_boards),
    ("/api/search", search),
    (r"/api/datasources(?:/uid/([^/]+))?", sources),
    (r"/api/orgs(?:/name/([^/]+))?", organisations),
    (r"/api/plugins/([^/]+)/settings", plugin_settings),
    (r"/api/serviceaccounts/search", account_search),
    (r"/api/serviceaccounts(?:/(\d+))?", accounts),
    (r"/api/serviceaccounts/(\d+)/tokens", account_tokens),
    (r"/api/access-control/folders/([^/]+)(?:/users/(\d+))?", folder_permissions),
    (r"/api/access-control/user/permissions", permissions),
    (r"/api/ds/query", grafana_data_path.query),
    (r"/api/alertmanager/([^/]+)(/api/v2/status)", grafana_data_path.alertmanager),
    (r"(?s)/api/datasources/proxy/(.*)", grafana_data_path.proxy),
]  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    state: GrafanaState

    def log_message(self, *_: object) -> None:
        """Nothing: requests are listed."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.state.before(self.command, self.path)
        self.state.requests.append((self.command, self.path))
        if self.state.redirect:
            self._send(302, "text/html", b"", ("Location", self.state.redirect))
        elif self.state.failing:
            code, kind, text = self.state.failing
            self._send(code, kind, text.encode())
        else:
            code, content = self._reply(json.loads(body or b"null"))
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self._send(code, "application/json", data)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _reply(self, body: Any) -> Reply:
        address = urlsplit(self.path)
        if address.path == "/api/health":
            return 200, {"database": "ok", "version": self.state.version}
        try:
            identity = self._identity()
            call = Call(self.state, identity, self.command, self.path, parse_qs(address.query), body)
            for pattern, route in ROUTES:
                match = re.fullmatch(pattern, address.path)
                if match:
                    return route(
                        call,
                        *(unquote(part) if "proxy" not in pattern else part for part in match.groups("")),
                    )
        except RefusedError as error:
            return error.reply
        return 404, {"message": "Not found"}

    def _identity(self) -> Identity:
        login = self.headers.get("Authorization", "")
        header = int(self.headers.get("X-Grafana-Org-Id") or 0)
        if not login:
            raise RefusedError(401, refusal("Unauthorized", "auth.unauthorized"))
        if login == ADMIN_LOGIN:
            organisation = self.state.organisations[header or 1]
            if not organisation.has_admin:
                raise RefusedError(401, refusal("Unauthorized", "auth.unauthorized"))
            return Identity(organisation, None, self.state.admin_permissions)
        account = self.state.tokens.get(login.removeprefix("Bearer "))
        if account is None:
            message = "Invalid username or password" if login.startswith("Basic") else "Invalid API key"
            raise RefusedError(401, refusal(message, "api-key.invalid"))
        if header not in (0, account.organisation) and "header" not in self.state.leaks:
            raise RefusedError(401, refusal("API key does not belong", "api-key.organization-mismatch"))
        number = header if header and "header" in self.state.leaks else account.organisation
        return Identity(self.state.organisations[number], account)

    def _send(self, code: int, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        with suppress(OSError):
            self.end_headers()
            self.wfile.write(body)


def refusal(message: str, message_id: str) -> dict[str, Any]:
    return {"message": message, "messageId": message_id, "statusCode": 401, "traceID": ""}


@contextmanager
def serving(state: GrafanaState) -> Iterator[str]:
    """URL of a Grafana of this state."""
    with serving_by(type("Handler", (Handler,), {"state": state})) as url:
        yield url
