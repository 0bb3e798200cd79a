"""The checks of a plane, in the order in which causes come before what follows from them."""

from __future__ import annotations

from modelplane_provisioning.doctor import (
    alert_path,
    bundle_files,
    grafana_boards,
    grafana_panels,
    grafana_server,
    grafana_sources,
    menus,
    panels,
    rules,
    store,
    targets,
)
from modelplane_provisioning.doctor.running import NamedCheck

CHECKS = (
    NamedCheck(store.STORE_ANSWERS, store.check_store),
    NamedCheck(targets.TARGETS_ARE_UP, targets.check_targets),
    NamedCheck(targets.MODELS_ARE_REPORTED, targets.check_models),
    NamedCheck(rules.RULES_ARE_HEALTHY, rules.check_rules),
    NamedCheck(rules.HAVE_BUCKETS, rules.check_histograms),
    NamedCheck(alert_path.ALERTS_ARE_SENT, alert_path.check_alerting),
    NamedCheck(alert_path.ALERTMANAGER_DELIVERS, alert_path.check_alertmanager),
    NamedCheck(alert_path.BACKEND_STORES, alert_path.check_backend),
    NamedCheck(menus.MENUS_OFFER_VALUES, menus.check_menus),
    NamedCheck(panels.PANELS_HAVE_DATA, panels.check_panels),
    NamedCheck(bundle_files.FILES_CAN_BE_READ, bundle_files.check_files),
    NamedCheck(grafana_server.GRAFANA_IS_SUPPORTED, grafana_server.check_server),
    NamedCheck(grafana_server.PLUGIN_IS_LOADED, grafana_server.check_plugin),
    NamedCheck(grafana_sources.SOURCES_ANSWER, grafana_sources.check_sources),
    NamedCheck(grafana_boards.BOARDS_ARE_EQUAL, grafana_boards.check_boards),
    NamedCheck(grafana_panels.PANELS_HAVE_DATA_IN_GRAFANA, grafana_panels.check_grafana_panels),
)
# It writes a test alert, and so is made only when it is wanted.
PROBE = NamedCheck(alert_path.PROBE_ARRIVES, alert_path.check_probe)
