import { type DataFrame, FieldType, createDataFrame } from '@grafana/data';
import type { AnnotationRows } from '../../api';
import { withNotices } from './notices';

/** Annotations as Grafana reads them from a frame: one with an end is a region. */
export function annotationFrame({ rows, warnings }: AnnotationRows, refId: string): DataFrame[] {
  const frame = createDataFrame({
    refId,
    fields: [
      { name: 'time', type: FieldType.time, values: rows.map(({ time }) => time) },
      { name: 'timeEnd', type: FieldType.time, values: rows.map(({ timeEnd }) => timeEnd) },
      { name: 'title', type: FieldType.string, values: rows.map(({ title }) => title) },
      { name: 'text', type: FieldType.string, values: rows.map(({ text }) => text) },
      { name: 'tags', type: FieldType.string, values: rows.map(({ tags }) => tags) },
    ],
  });
  return withNotices([frame], warnings, refId);
}
