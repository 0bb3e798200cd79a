/** A data source in front of recorded answers, and what a panel asks it for. */
import { type DataQueryRequest, type DataQueryResponse, dateTime } from '@grafana/data';
import { firstValueFrom } from 'rxjs';
import type { DataSource } from '../datasource/DataSource';
import { DEFAULT_QUERY, type Query } from '../datasource/query';

export const FROM = 1_698_400_200_000;
export const TO = 1_698_400_800_000;
export const RANGE = { from: dateTime(FROM), to: dateTime(TO), raw: { from: 'now-10m', to: 'now' } };

const SETTINGS = {
  id: 1,
  uid: 'm',
  type: 'x',
  name: 'm',
  url: '/proxy',
  jsonData: {},
  meta: { info: { version: '0.1.0' } },
} as unknown as ConstructorParameters<typeof DataSource>[0];

/** A test imports the class after it has replaced Grafana's runtime. */
export const dataSourceOf = (Class: typeof DataSource) => new Class(SETTINGS);

export const target = (query: Partial<Query>): Query => ({ ...DEFAULT_QUERY, refId: 'A', ...query });

export const answersOf = (
  datasource: DataSource,
  targets: Query[],
  rest: Partial<DataQueryRequest<Query>> = {},
): Promise<DataQueryResponse> =>
  firstValueFrom(
    datasource.query({
      targets,
      range: RANGE,
      scopedVars: {},
      maxDataPoints: 500.4,
      ...rest,
    } as DataQueryRequest<Query>),
  );
