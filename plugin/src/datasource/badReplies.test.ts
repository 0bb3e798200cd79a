import type { DataQueryRequest } from '@grafana/data';
import { firstValueFrom } from 'rxjs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Failure } from '../api';
import type { FakeBackend, Reply } from '../testing/backend';
import { BAD_REPLIES } from '../testing/badReplies';
import { RANGE, answersOf, dataSourceOf, target } from '../testing/datasource';
import { pathOf, recorded, recordedBackend } from '../testing/recorded';
import { templateSrv } from '../testing/variables';
import type { DataSource as DataSourceClass } from './DataSource';
import type { MenuQuery, Query } from './query';

let backend: FakeBackend;
vi.mock('@grafana/runtime', () => ({
  getBackendSrv: () => backend,
  getTemplateSrv: () => templateSrv([]),
}));
vi.mock('@grafana/ui', () => ({}));
const { DataSource } = await import('./DataSource');

const CATALOGUE = ['metrics', 'tables', 'annotations', 'menus'];
const QUERIES: Array<Partial<Query>> = [
  {},
  { format: 'table' },
  { kind: 'table', name: 'slo_states' },
  { kind: 'annotations', name: 'incidents' },
];
const MENU = { refId: 'V', menu: 'models', params: {} };
const REQUEST = { targets: [MENU], range: RANGE, scopedVars: {} } as unknown as DataQueryRequest<MenuQuery>;

let datasource: DataSourceClass;
beforeEach(() => {
  backend = recordedBackend();
  datasource = dataSourceOf(DataSource);
});

/** The backend answers its catalogue, and `reply` to all else. */
const onlyCatalogue = (reply: Reply) => {
  backend.reply = ({ url }) => (CATALOGUE.includes(pathOf(url)) ? recorded(pathOf(url)) : reply);
};

describe.each(BAD_REPLIES)('%s', (_name, reply, sentence) => {
  it('is one sentence on the panel, whatever it asked for', async () => {
    onlyCatalogue(reply);
    for (const query of QUERIES) {
      const { data, errors } = await answersOf(datasource, [target(query)]);
      expect(data).toEqual([]);
      expect(errors).toHaveLength(1);
      expect(errors?.[0]?.message).toContain(sentence);
    }
  });

  it('is one sentence where the catalogue is asked for, and the next panel asks again', async () => {
    backend.reply = () => reply;
    const { errors } = await answersOf(datasource, [target({})]);
    expect(errors?.map(({ message }) => message)).toEqual([expect.stringContaining(sentence)]);
    backend.reply = recordedBackend().reply;
    expect((await answersOf(datasource, [target({})])).errors).toBeUndefined();
  });

  it('is the reason why a variable, a filter and the check have none', async () => {
    onlyCatalogue(reply);
    const variables = datasource.variables as unknown as {
      query(request: typeof REQUEST): ReturnType<DataSourceClass['query']>;
    };
    for (const answer of [
      firstValueFrom(variables.query(REQUEST)),
      datasource.getTagValues({ key: 'model_name', filters: [], timeRange: RANGE }),
      datasource.testDatasource(),
    ]) {
      const failure = await answer.then(
        () => expect.fail('it answered'),
        (reason: unknown) => reason,
      );
      expect(failure).toBeInstanceOf(Failure);
      expect((failure as Failure).message).toContain(sentence);
    }
  });
});

it.each([{}, { data: [{ name: 'x' }] }, { rows: [7] }, { values: 'x' }])(
  'an answer without its parts, %j, names the route',
  async (data) => {
    onlyCatalogue({ data });
    for (const query of QUERIES) {
      const { errors } = await answersOf(datasource, [target(query)]);
      expect(errors?.[0]?.message).toMatch(/^The backend's answer to \S+ (is not as expected|has no list)/);
    }
  },
);
