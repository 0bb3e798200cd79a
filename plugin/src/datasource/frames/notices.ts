import { type DataFrame, createDataFrame } from '@grafana/data';

/** `frames` with warnings in the corner of the panel; an empty frame carries them where there is no other. */
export function withNotices(frames: DataFrame[], warnings: string[], refId: string): DataFrame[] {
  if (warnings.length === 0) {
    return frames;
  }
  const [first = createDataFrame({ refId, fields: [] }), ...others] = frames;
  const notices = warnings.map((text) => ({ severity: 'warning' as const, text }));
  return [{ ...first, meta: { ...first.meta, notices } }, ...others];
}
