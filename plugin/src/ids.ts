/** Names that Grafana and our boards know the plugin by. */
export const APP_ID = 'modelplane-monitoring-app';
export const DATASOURCE_ID = 'modelplane-monitoring-datasource';
