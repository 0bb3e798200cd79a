import {
  DataSourceApi,
  type DataQuery,
  type DataQueryResponse,
  type DataSourceInstanceSettings,
  type TestDataSourceResponse,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';
import { Client } from '../api';
import { healthOf } from './health';
import type { Options } from './options';

export class DataSource extends DataSourceApi<DataQuery, Options> {
  readonly client: Client;

  constructor(private readonly settings: DataSourceInstanceSettings<Options>) {
    super(settings);
    this.client = new Client(settings.url ?? '');
  }

  override query(): Promise<DataQueryResponse> {
    return Promise.resolve({ data: [] });
  }

  override async testDatasource(): Promise<TestDataSourceResponse> {
    const identity = await firstValueFrom(this.client.identity());
    return healthOf(identity, this.settings.meta.info.version);
  }
}
