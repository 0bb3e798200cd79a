import { DataSourcePlugin } from '@grafana/data';
import { ConfigEditor } from './config/ConfigEditor';
import { DataSource } from './DataSource';

export const plugin = new DataSourcePlugin(DataSource).setConfigEditor(ConfigEditor);
