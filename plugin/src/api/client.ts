/** The routes of the backend that the data source and the app read and write. */
import { type Observable, map } from 'rxjs';
import type * as v from 'valibot';
import * as answers from './answers';
import { Failure } from './failure';
import * as pages from './pageAnswers';
import { type Params, Transport } from './transport';
import { checked } from './validation';

export class Client {
  private readonly transport: Transport;

  /** `proxyUrl` is the data source's address in Grafana, `settings.url`. */
  constructor(proxyUrl: string) {
    this.transport = new Transport(proxyUrl);
  }

  metrics(): Observable<answers.Metric[]> {
    return this.read('metrics', answers.metrics).pipe(map(({ metrics }) => metrics));
  }

  tables(): Observable<answers.Table[]> {
    return this.read('tables', answers.tables).pipe(map(({ tables }) => tables));
  }

  annotationSources(): Observable<answers.SourceDescription[]> {
    return this.read('annotations', answers.annotationSources).pipe(map(({ annotations }) => annotations));
  }

  menus(): Observable<answers.SourceDescription[]> {
    return this.read('menus', answers.menus).pipe(map(({ menus }) => menus));
  }

  series(metric: string, params: Params): Observable<answers.SeriesAnswer> {
    return this.read(`metrics/${encodeURIComponent(metric)}`, answers.seriesAnswer, params);
  }

  /** The rows of a table: the list of its key `rows`, or the whole answer as one row where that is empty. */
  rows({ path, rows: key }: Pick<answers.Table, 'path' | 'rows'>, params: Params): Observable<answers.Rows> {
    return this.read(path, answers.rowsAnswer, params).pipe(
      map((body) => ({ rows: rowsOf(body, key, path), warnings: body.warnings })),
    );
  }

  annotations(source: string, params: Params): Observable<answers.AnnotationRows> {
    return this.read(`annotations/${encodeURIComponent(source)}`, answers.annotationRows, params);
  }

  menu(name: string, params: Params): Observable<answers.Menu> {
    return this.read(`menus/${encodeURIComponent(name)}`, answers.menu, params);
  }

  identity(): Observable<answers.Identity> {
    return this.read('identity', answers.identity);
  }

  triage(params: Params): Observable<pages.Triage> {
    return this.read('triage', pages.triage, params);
  }

  registry(params: Params): Observable<pages.RegistryAnswer> {
    return this.read('registry', pages.registry, params);
  }

  incidents(params: Params): Observable<pages.Incidents> {
    return this.read('incidents', pages.incidents, params);
  }

  incident(id: string): Observable<pages.Incident> {
    return this.read(`incidents/${encodeURIComponent(id)}`, pages.incident);
  }

  acknowledge(id: string, body: { by: string; note: string }): Observable<pages.Incident> {
    return this.write(`incidents/${encodeURIComponent(id)}/acknowledge`, pages.incident, body);
  }

  comment(id: string, body: { by: string; comment: string }): Observable<pages.Incident> {
    return this.write(`incidents/${encodeURIComponent(id)}/comment`, pages.incident, body);
  }

  silences(params: Params): Observable<pages.Silences> {
    return this.read('silences', pages.silences, params);
  }

  /** Silence alerts of the one tenant that `params` name. */
  silence(body: unknown, params: Params): Observable<pages.SilenceAnswer> {
    return this.write('silences', pages.silence, body, params);
  }

  comparison(params: Params): Observable<pages.Comparison> {
    return this.read('compare', pages.comparison, params);
  }

  verdicts(params: Params): Observable<pages.Verdicts> {
    return this.read('compare/verdicts', pages.verdicts, params);
  }

  movedSignals(params: Params): Observable<pages.MovedSignals> {
    return this.read('drift/top', pages.movedSignals, params);
  }

  distribution(params: Params): Observable<pages.Distribution> {
    return this.read('drift/distribution', pages.distribution, params);
  }

  costs(params: Params): Observable<pages.Costs> {
    return this.read('costs', pages.costs, params);
  }

  forecasts(params: Params): Observable<pages.Forecasts> {
    return this.read('costs/forecast', pages.forecasts, params);
  }

  /** The ledger as a file: CSV, or the columns of FOCUS. */
  costFile(format: 'csv' | 'focus', params: Params): Observable<string> {
    return this.transport.readText('costs', { ...params, format });
  }

  watchdog(): Observable<pages.Watchdog> {
    return this.read('watchdog', pages.watchdog);
  }

  /** GET `path` below the API's root; `schema` says what the answer must be. */
  read<T extends v.GenericSchema>(
    path: string,
    schema: T,
    params: Params = {},
  ): Observable<v.InferOutput<T>> {
    return this.transport.read(path, params).pipe(map((body) => checked(schema, body, path)));
  }

  /** POST `body` to `path`, which takes an editor. */
  write<T extends v.GenericSchema>(
    path: string,
    schema: T,
    body: unknown,
    params: Params = {},
  ): Observable<v.InferOutput<T>> {
    return this.transport.write(path, params, body).pipe(map((answer) => checked(schema, answer, path)));
  }
}

function rowsOf(body: Record<string, unknown>, key: string, path: string): answers.Row[] {
  const { warnings, ...rest } = body;
  const list = key === '' ? [rest] : body[key];
  if (!Array.isArray(list)) {
    throw new Failure('unexpected_answer', `The backend's answer to ${path} has no list named ${key}.`);
  }
  return list.map((each) => checked(answers.row, each, path));
}
