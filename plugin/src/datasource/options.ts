import type { DataSourceJsonData } from '@grafana/data';

/** Where the backend is; Grafana's server sends requests there, browsers never. */
export interface Options extends DataSourceJsonData {
  backend?: string;
}

/** What stays in Grafana's server. */
export interface SecureOptions {
  token?: string;
}
