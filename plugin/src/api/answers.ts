/**
 * Shapes of the backend's answers, checked where they arrive. Keys that are not named here are let through:
 * a newer backend may have more.
 */
import * as v from 'valibot';

const number = v.nullable(v.number());
const warnings = v.optional(v.array(v.string()), []);
const labels = v.record(v.string(), v.string());
const cell = v.union([v.string(), v.number(), v.boolean(), v.null()]);

export const parameter = v.object({
  name: v.string(),
  summary: v.string(),
  allowed: v.string(),
  required: v.boolean(),
  repeated: v.boolean(),
  default: v.nullable(v.string()),
  schema: v.looseObject({ enum: v.optional(v.array(v.string())), type: v.optional(v.unknown()) }),
});

export const metric = v.object({
  name: v.string(),
  title: v.string(),
  unit: v.string(),
  summary: v.string(),
  parameters: v.array(parameter),
});

export const metrics = v.object({ metrics: v.array(metric) });

export const column = v.object({
  name: v.string(),
  /** text, number, time, boolean, list or labels; a newer backend may have more. */
  type: v.string(),
  unit: v.optional(v.nullable(v.string()), null),
});

export const table = v.object({
  name: v.string(),
  title: v.string(),
  summary: v.string(),
  path: v.string(),
  rows: v.string(),
  columns: v.array(column),
  parameters: v.array(parameter),
});

export const tables = v.object({ tables: v.array(table) });

/** A moment in milliseconds, the value or null for a gap, and what belongs to it, such as low and high. */
export type Point = { x: number; y: number | null } & Record<string, number | null>;

/** An answer may have a million points: they are looked at, not copied. */
const points = v.custom<Point[]>((data) => Array.isArray(data) && data.every(isPoint), 'points of x and y');

function isPoint(data: unknown): data is Point {
  const point = data as Partial<Point> | null;
  return typeof point?.x === 'number' && (point.y === null || typeof point.y === 'number');
}

export const series = v.object({
  name: v.string(),
  labels,
  data: points,
});

export const seriesAnswer = v.object({ query_time: v.string(), data: v.array(series), warnings });

export const row = v.record(
  v.string(),
  v.union([cell, v.array(v.unknown()), v.record(v.string(), v.unknown())]),
);
export const rowsAnswer = v.looseObject({ warnings });

export const annotationRow = v.object({
  time: v.number(),
  timeEnd: number,
  title: v.string(),
  text: v.string(),
  tags: v.string(),
});
export const annotationRows = v.object({ rows: v.array(annotationRow), warnings });

export const source = v.object({ name: v.string(), title: v.string(), parameters: v.array(parameter) });
export const annotationSources = v.object({ annotations: v.array(source) });
export const menus = v.object({ menus: v.array(source) });

export const menu = v.object({ values: v.array(v.string()), total: v.number(), warnings });

export const identity = v.object({
  version: v.string(),
  name: v.string(),
  role: v.string(),
  /** Who Grafana says is asking; a backend that is older does not tell. */
  user: v.optional(v.nullable(v.object({ name: v.string(), role: v.string(), may_write: v.boolean() }))),
  tenants: v.number(),
  models: v.number(),
  warnings,
});

export type Parameter = v.InferOutput<typeof parameter>;
export type Metric = v.InferOutput<typeof metric>;
export type Column = v.InferOutput<typeof column>;
export type Table = v.InferOutput<typeof table>;
export type SourceDescription = v.InferOutput<typeof source>;
export type Series = v.InferOutput<typeof series>;
export type SeriesAnswer = v.InferOutput<typeof seriesAnswer>;
export type Row = v.InferOutput<typeof row>;
export type Cell = Row[string];
export type AnnotationRow = v.InferOutput<typeof annotationRow>;
export type AnnotationRows = v.InferOutput<typeof annotationRows>;
export type Menu = v.InferOutput<typeof menu>;
export type Identity = v.InferOutput<typeof identity>;
export interface Rows {
  rows: Row[];
  warnings: string[];
}
