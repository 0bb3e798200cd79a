import {
  type DataFrame,
  type DataQueryRequest,
  type DataQueryResponse,
  DataSourceApi,
  type DataSourceGetTagValuesOptions,
  type DataSourceInstanceSettings,
  LoadingState,
  type MetricFindValue,
  type ScopedVars,
  type TestDataSourceResponse,
  type TimeRange,
} from '@grafana/data';
import { EMPTY, type Observable, catchError, firstValueFrom, forkJoin, map, of, switchMap } from 'rxjs';
import { Client, Failure, type Params } from '../api';
import { AnnotationEditor } from './editor/AnnotationEditor';
import { type Catalogue, type Source, catalogueOf, sourceOf } from './catalogue';
import { annotationFrame } from './frames/annotationFrame';
import { seriesFrames, seriesTable } from './frames/seriesFrames';
import { tableFrame } from './frames/tableFrame';
import { healthOf } from './health';
import type { Options } from './options';
import { FILTER_LABELS, labelMenu, menuNarrowing, narrowed, narrowings } from './filters';
import { interpolated, timeParams } from './parameters';
import {
  DEFAULT_ANNOTATION,
  DEFAULT_QUERY,
  type MenuQuery,
  type Query,
  completed,
  displayText,
} from './query';
import { Variables } from './Variables';

/** The most values of a menu. */
const MENU_LIMIT = 10_000;

export class DataSource extends DataSourceApi<Query, Options> {
  readonly client: Client;
  /** Asked once while somebody holds it, and again after a failure. */
  readonly catalogue: Observable<Catalogue>;

  constructor(private readonly settings: DataSourceInstanceSettings<Options>) {
    super(settings);
    this.client = new Client(settings.url ?? '');
    this.catalogue = catalogueOf(this.client);
    this.variables = new Variables(this);
    this.annotations = {
      QueryEditor: AnnotationEditor,
      getDefaultQuery: () => DEFAULT_ANNOTATION,
      prepareQuery: ({ target }) =>
        target && completed({ ...DEFAULT_ANNOTATION, ...target, kind: 'annotations' }),
    };
  }

  override getDefaultQuery(): Partial<Query> {
    return DEFAULT_QUERY;
  }

  override getQueryDisplayText(query: Query): string {
    return displayText(completed(query));
  }

  override filterQuery(query: Query): boolean {
    return !query.hide && completed(query).name !== '';
  }

  override query(request: DataQueryRequest<Query>): Observable<DataQueryResponse> {
    const targets = request.targets.filter((target) => this.filterQuery(target)).map(completed);
    if (targets.length === 0) {
      return of({ data: [] });
    }
    const answers = targets.map((target) => this.answer(target, request));
    return forkJoin(answers).pipe(map(combined));
  }

  /** The frames of one target; another's failure does not take them away. */
  private answer(target: Query, request: DataQueryRequest<Query>): Observable<Answer> {
    return this.catalogue.pipe(
      switchMap((catalogue) => this.frames(target, sourceOf(catalogue, target), request)),
      map((frames) => ({ refId: target.refId, frames })),
      catchError((reason: unknown) => {
        if (!(reason instanceof Failure)) {
          throw reason;
        }
        return reason.kind === 'cancelled' ? EMPTY : of({ refId: target.refId, frames: [], failure: reason });
      }),
    );
  }

  private frames(target: Query, source: Source, request: DataQueryRequest<Query>): Observable<DataFrame[]> {
    const params = { ...interpolated(target.params, request.scopedVars), ...target.fixed };
    const valuesIn = (menu: string) => this.allValues(menu, request.range);
    return narrowings(request.filters ?? [], source.parameters, valuesIn).pipe(
      switchMap((each) => {
        const chosen = narrowed(params, each);
        return chosen
          ? this.read(source, { ...chosen, ...timeParams(request, source.parameters) }, target)
          : of([]);
      }),
    );
  }

  private read(source: Source, params: Params, { refId, format }: Query): Observable<DataFrame[]> {
    if (source.kind === 'series') {
      const toFrames = format === 'table' ? seriesTable : seriesFrames;
      return this.client
        .series(source.metric.name, params)
        .pipe(map((answer) => toFrames(answer, source.metric, refId)));
    }
    if (source.kind === 'table') {
      return this.client
        .rows(source.table, params)
        .pipe(map((rows) => tableFrame(rows, source.table, refId)));
    }
    return this.client.annotations(source.name, params).pipe(map((rows) => annotationFrame(rows, refId)));
  }

  /** Every value of a menu; Failure where there are more than are told at once. */
  private allValues(menu: string, range: TimeRange): Observable<string[]> {
    const times = { from: range.from.valueOf(), to: range.to.valueOf() };
    return this.client.menu(menu, { ...times, limit: MENU_LIMIT }).pipe(
      map(({ values, total }) => {
        if (total > values.length) {
          const sentence = `There are ${total} ${menu}, too many to filter by what they are not; choose some.`;
          throw new Failure('refused', sentence);
        }
        return values;
      }),
    );
  }

  /** The values of a menu, narrowed by those parameters of the query that it knows. */
  menu(query: Pick<MenuQuery, 'menu' | 'params'>, options: MenuOptions = {}): Observable<string[]> {
    return this.catalogue.pipe(
      switchMap(({ menus }) => {
        const menu = menus.find(({ name }) => name === query.menu);
        if (!menu) {
          throw new Failure(
            'refused',
            `There is no menu ${query.menu}; allowed: ${menus.map(({ name }) => name).join(', ')}.`,
          );
        }
        const known = new Set(menu.parameters.map(({ name }) => name));
        const params = Object.entries(interpolated(query.params, options.scopedVars ?? {}));
        const { range, search, limit = MENU_LIMIT } = options;
        return this.client.menu(menu.name, {
          ...Object.fromEntries(params.filter(([name]) => known.has(name))),
          ...(range && { from: range.from.valueOf(), to: range.to.valueOf() }),
          search: search || undefined,
          limit,
        });
      }),
      map(({ values }) => values),
    );
  }

  override getTagKeys(): Promise<MetricFindValue[]> {
    return Promise.resolve(FILTER_LABELS.map((text) => ({ text })));
  }

  override async getTagValues({
    key,
    filters,
    timeRange,
  }: DataSourceGetTagValuesOptions<Query>): Promise<MetricFindValue[]> {
    const menu = labelMenu(key);
    if (!menu) {
      return [];
    }
    const params = menuNarrowing(filters.filter((filter) => filter.key !== key));
    const values = await firstValueFrom(this.menu({ menu, params }, { range: timeRange }));
    return values.map((text) => ({ text }));
  }

  override interpolateVariablesInQueries(queries: Query[], scopedVars: ScopedVars): Query[] {
    return queries.map((query) => ({ ...query, params: interpolated(completed(query).params, scopedVars) }));
  }

  override async testDatasource(): Promise<TestDataSourceResponse> {
    return healthOf(await firstValueFrom(this.client.identity()), this.settings.meta.info.version);
  }
}

interface MenuOptions {
  range?: TimeRange;
  search?: string;
  limit?: number;
  scopedVars?: ScopedVars;
}

interface Answer {
  refId: string;
  frames: DataFrame[];
  failure?: Failure;
}

/** All frames, and each failure with the query that it belongs to. */
function combined(answers: Answer[]): DataQueryResponse {
  const data = answers.flatMap(({ frames }) => frames);
  const errors = answers.flatMap(({ refId, failure }) =>
    failure ? [{ refId, message: failure.message, status: failure.status }] : [],
  );
  return errors.length ? { data, errors, error: errors[0], state: LoadingState.Error } : { data };
}
