"""A service account that may write boards of ours and nothing else: role Viewer, and Edit on our folders."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import requests

from modelplane_dashboards import Folder
from modelplane_provisioning.bundle.credentials import PRIVATE
from modelplane_provisioning.clients.grafana import GrafanaError, Organisation, expected
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.rights import Right
from modelplane_schema.files import replace_file

NAME = "modelplane-boards"
_ROLE = "Viewer"  # reads what boards show; the folders' permissions let it write there


def account_changes(
    organisation: Organisation, folders: Sequence[Folder], token_file: Path
) -> Iterator[Change]:
    """Create the account, its permissions on folders, and its token in ``token_file``, which stays."""
    if not token_file.parent.is_dir():
        raise GrafanaError(
            f"{token_file.parent}: is no folder; --boards-token-file must lie in one that exists"
        )
    account = find_account(organisation, NAME)
    if account is None:
        yield Change(
            "create", "service account", NAME, f"role {_ROLE}", Right("serviceaccounts:create"),
            partial(_create, organisation),
        )  # fmt: skip
    elif account.get("role") != _ROLE:
        raise GrafanaError(
            f"the service account {NAME} has the role {account.get('role')}, and shall have {_ROLE}: change "
            "that in Grafana, or delete it, and it is made anew"
        )
    for folder in folders:
        if account is None or not _may_edit(organisation, folder.uid, account):
            yield Change(
                "update", "permission of folder", folder.uid, f"Edit for {NAME}",
                Right("folders.permissions:write", (f"folders:uid:{folder.uid}",)) if account else None,
                partial(_let_edit, organisation, folder.uid),
            )  # fmt: skip
    if not token_file.exists():
        right = Right("serviceaccounts:write", (f"serviceaccounts:id:{account['id']}",)) if account else None
        yield Change(
            "create", "token", str(token_file), f"of {NAME}", right,
            partial(_write_token, organisation, token_file),
        )  # fmt: skip


def find_account(organisation: Organisation, name: str) -> dict[str, Any] | None:
    """The service account of a name, None when there is none."""
    params = {"query": name, "perpage": 100}
    answer = organisation.request("GET", "/api/serviceaccounts/search", params=params)
    doing = "search for service accounts"
    content = expected(answer, organisation.login, doing, requests.codes.not_found)
    accounts = content["serviceAccounts"] if answer.is_success else ()
    return next((account for account in accounts if account.get("name") == name), None)


def create_account(organisation: Organisation, name: str, role: str) -> dict[str, Any]:
    """Make a service account."""
    answer = organisation.request("POST", "/api/serviceaccounts", {"name": name, "role": role})
    content: dict[str, Any] = expected(answer, organisation.login, f"create the service account {name}")
    return content


def create_token(organisation: Organisation, account: dict[str, Any], **options: Any) -> str:
    """A new token of an account. Names of tokens are unique in the whole organisation."""
    path = f"/api/serviceaccounts/{account['id']}/tokens"
    body = {"name": f"{account['name']}-{secrets.token_hex(4)}", **options}
    answer = organisation.request("POST", path, body)
    return str(expected(answer, organisation.login, f"create a token of {account['name']}")["key"])


def _create(organisation: Organisation) -> None:
    create_account(organisation, NAME, _ROLE)


def _may_edit(organisation: Organisation, folder: str, account: dict[str, Any]) -> bool:
    answer = organisation.request("GET", f"/api/access-control/folders/{folder}")
    doing = f"read the permissions of the folder {folder}"
    rows = expected(answer, organisation.login, doing, requests.codes.not_found) or ()
    return answer.is_success and any(
        row.get("userId") == account["id"] and row.get("permission") == "Edit" for row in rows
    )


def _let_edit(organisation: Organisation, folder: str) -> None:
    account = _account(organisation)
    path = f"/api/access-control/folders/{folder}/users/{account['id']}"
    answer = organisation.request("POST", path, {"permission": "Edit"})
    expected(answer, organisation.login, f"let {NAME} edit the folder {folder}")


def _write_token(organisation: Organisation, token_file: Path) -> None:
    token = create_token(organisation, _account(organisation))
    replace_file(token_file, f"{token}\n".encode("ascii"), PRIVATE)


def _account(organisation: Organisation) -> dict[str, Any]:
    account = find_account(organisation, NAME)
    if account is None:
        raise GrafanaError(f"the service account {NAME} is gone: somebody deletes it; run it again")
    return account
