import { type DataFrame, type Field, FieldType, createDataFrame } from '@grafana/data';
import type { Cell, Column, Row, Rows, Table } from '../../api';
import { linksOf } from './links';
import { withNotices } from './notices';
import { unitOf } from './units';

const TYPES: Record<string, FieldType> = {
  time: FieldType.time,
  number: FieldType.number,
  boolean: FieldType.boolean,
};

/** The rows of a table as a frame, columns in the order of the rows; without any, in that of the catalogue. */
export function tableFrame({ rows, warnings }: Rows, table: Table, refId: string): DataFrame[] {
  const declared = new Map(table.columns.map((column) => [column.name, column]));
  const names = rows.length ? [...new Set(rows.flatMap(Object.keys))] : [...declared.keys()];
  const fields = names.flatMap((name) => fieldOf(name, declared.get(name), rows, table) ?? []);
  const meta = { preferredVisualisationType: 'table' as const };
  return withNotices([createDataFrame({ refId, name: table.title, fields, meta })], warnings, refId);
}

/** One column. What the catalogue does not list are labels, which are texts; other things are left out. */
function fieldOf(name: string, column: Column | undefined, rows: Row[], table: Table): Field | undefined {
  const values = rows.map((row) => row[name] ?? null);
  if (!column && values.some((value) => typeof value === 'object' && value !== null)) {
    return undefined;
  }
  const type = TYPES[column?.type ?? ''] ?? FieldType.string;
  const unit = unitOf(column?.unit ?? null, commonCurrency(rows));
  return {
    name,
    type,
    values: type === FieldType.string ? values.map(textOf) : values,
    config: { ...(unit === undefined ? {} : { unit }), ...linksOf(table.name, name) },
  };
}

/** A cell as a text: lists and labels in one line. A text that looks like a number stays one. */
export function textOf(value: Cell): string | null {
  if (value === null || typeof value === 'string') {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map((each) => (isRecord(each) ? Object.values(each).join('') : String(each))).join(', ');
  }
  return isRecord(value)
    ? Object.entries(value)
        .map(([name, each]) => `${name}=${String(each)}`)
        .join(', ')
    : String(value);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** The currency of all rows that have one; undefined where there are several, which no one unit fits. */
function commonCurrency(rows: Row[]): string | undefined {
  const currencies = new Set(rows.map(({ currency }) => currency).filter((code) => typeof code === 'string'));
  return currencies.size === 1 ? [...currencies][0] : undefined;
}
