import { type DataFrame, type Field, FieldType, type Labels, createDataFrame } from '@grafana/data';
import type { Metric, Series, SeriesAnswer } from '../../api';
import { withNotices } from './notices';
import { unitOf } from './units';

/** What stands beside a value, such as its bounds: in the tooltip, but no line of its own. */
const BESIDE = { hideFrom: { viz: true, legend: true, tooltip: false } };
/** Bounds of a value have its unit. */
const BOUNDS = new Set(['low', 'high']);

/** A frame for each series: time, value and what belongs to it, each a field. Gaps are null. */
export function seriesFrames({ data, warnings }: SeriesAnswer, metric: Metric, refId: string): DataFrame[] {
  const frames = data.map((series) =>
    createDataFrame({
      refId,
      name: series.name,
      fields: [timeOf(series), valueOf(series, metric), ...extrasOf(series, metric)],
      meta: { preferredVisualisationType: 'graph' },
    }),
  );
  return withNotices(frames, warnings, refId);
}

/** All series as rows of one table: time, series, labels, value and what belongs to it. */
export function seriesTable({ data, warnings }: SeriesAnswer, metric: Metric, refId: string): DataFrame[] {
  const labels = union(data.map((series) => Object.keys(series.labels)));
  const extras = union(data.map(extraNames));
  const rows = data.flatMap((series) => series.data.map((point) => ({ series, point })));
  const column = (name: string, type: FieldType, values: unknown[], unit?: string): Field => ({
    name,
    type,
    values,
    config: unit === undefined ? {} : { unit },
  });
  const currencies = new Set(data.map((series) => series.labels.currency));
  const unit = unitOf(metric.unit, currencies.size === 1 ? [...currencies][0] : undefined);
  const frame = createDataFrame({
    refId,
    name: metric.title,
    fields: [
      column(
        'time',
        FieldType.time,
        rows.map(({ point }) => point.x),
      ),
      column(
        'series',
        FieldType.string,
        rows.map(({ series }) => series.name),
      ),
      ...labels.map((name) =>
        column(
          name,
          FieldType.string,
          rows.map(({ series }) => series.labels[name] ?? null),
        ),
      ),
      column(
        'value',
        FieldType.number,
        rows.map(({ point }) => point.y),
        unit,
      ),
      ...extras.map((name) =>
        column(
          name,
          FieldType.number,
          rows.map(({ point }) => point[name] ?? null),
          BOUNDS.has(name) ? unit : undefined,
        ),
      ),
    ],
    meta: { preferredVisualisationType: 'table' },
  });
  return withNotices([frame], warnings, refId);
}

const timeOf = ({ data }: Series): Field => ({
  name: 'time',
  type: FieldType.time,
  values: data.map(({ x }) => x),
  config: {},
});

const valueOf = ({ name, labels, data }: Series, { unit }: Metric): Field => ({
  name: 'value',
  type: FieldType.number,
  labels: labels as Labels,
  values: data.map(({ y }) => y),
  config: { displayNameFromDS: name, unit: unitOf(unit, labels.currency) },
});

function extrasOf(series: Series, { unit }: Metric): Field[] {
  return extraNames(series).map((name) => ({
    name,
    type: FieldType.number,
    labels: series.labels as Labels,
    values: series.data.map((point) => point[name] ?? null),
    config: {
      displayNameFromDS: `${series.name} ${name}`,
      unit: BOUNDS.has(name) ? unitOf(unit, series.labels.currency) : undefined,
      custom: BESIDE,
    },
  }));
}

/** Every point of an answer has the same keys. */
const extraNames = ({ data }: Series) =>
  Object.keys(data[0] ?? {}).filter((key) => key !== 'x' && key !== 'y');

const union = (lists: string[][]) => [...new Set(lists.flat())];
