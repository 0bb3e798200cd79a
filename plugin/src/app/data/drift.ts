/** Signals: what stands for one in an address, and frames of its history and distribution. */
import { type DataFrame, FieldType, createDataFrame } from '@grafana/data';
import type { Distribution, MovedSignal, SeriesAnswer } from '../../api';
import { pageUrl } from '../state/links';
import type { Changes } from '../state/search';

/** The parameters of the page's address that say which signal is shown. */
export const OF_SIGNAL = ['of-model', 'of-version', 'of-tenant', 'of-kind', 'of-signal'] as const;

export type SignalKey = Pick<MovedSignal, 'model_name' | 'model_version' | 'tenant_id' | 'kind' | 'signal'>;

export const signalId = ({ model_name, model_version, tenant_id, kind, signal }: SignalKey) =>
  JSON.stringify([model_name, model_version, tenant_id, kind, signal]);

export function signalChoice(row: SignalKey): Changes {
  return {
    'of-model': row.model_name,
    'of-version': row.model_version,
    'of-tenant': row.tenant_id,
    'of-kind': row.kind,
    'of-signal': row.signal,
  };
}

export const signalUrl = (row: SignalKey) =>
  pageUrl('drift', { 'model-name': row.model_name, ...signalChoice(row) });

/** The signal of an address, undefined where it names none. */
export function chosenSignal(text: (name: string) => string): SignalKey | undefined {
  const [model_name, model_version, tenant_id, kind, signal] = OF_SIGNAL.map(text) as [
    string,
    string,
    string,
    string,
    string,
  ];
  return signal && model_name ? { model_name, model_version, tenant_id, kind, signal } : undefined;
}

/** One signal as parameters of the API. */
export const signalParams = ({ model_name, model_version, tenant_id, kind, signal }: SignalKey) => ({
  'model-name': model_name,
  'model-version': model_version || undefined,
  'tenant-id': tenant_id || undefined,
  kind: kind || undefined,
  signal,
});

/** Value, what chance explains, and the limit where it is known, over time. */
export function historyFrames({ data }: SeriesAnswer, limit: number | null): DataFrame[] {
  return data.map((series) => {
    const times = series.data.map(({ x }) => x);
    const column = (name: string, values: Array<number | null>) => ({
      name,
      type: FieldType.number,
      values,
      config: { displayNameFromDS: name },
    });
    return createDataFrame({
      name: series.name,
      fields: [
        { name: 'time', type: FieldType.time, values: times },
        column(
          'psi',
          series.data.map(({ y }) => y),
        ),
        column(
          'noise',
          series.data.map((point) => point.noise ?? null),
        ),
        ...(limit === null
          ? []
          : [
              column(
                'limit now',
                times.map(() => limit),
              ),
            ]),
      ],
    });
  });
}

/** Shares by bin, live and in the reference. Both have the bins of the baseline. */
export function distributionFrame({ data }: Distribution): DataFrame {
  const labels = data[0]?.data.map(({ label }) => label) ?? [];
  return createDataFrame({
    fields: [
      { name: 'bin', type: FieldType.string, values: labels },
      ...data.map((bars) => ({
        name: bars.name,
        type: FieldType.number,
        values: bars.data.map(({ y }) => y),
        config: {
          unit: 'percentunit',
          displayNameFromDS: bars.name === 'reference' ? 'training' : bars.name,
        },
      })),
    ],
  });
}

export interface Arm {
  name: string;
  value: number | null;
  low: number | null;
  high: number | null;
  moved: boolean;
}

/** What is measured of a signal beside psi, each with its own limits. */
export function armsOf(row: MovedSignal): Arm[] {
  const moved = row.moved.split(', ');
  const arm = (name: 'mean_shift' | 'variance_ratio' | 'missing_shift') => ({
    name,
    value: row[name],
    low: row[`${name}_low_limit`],
    high: row[`${name}_high_limit`],
    moved: moved.includes(name),
  });
  return [
    { name: 'psi', value: row.value, low: null, high: row.limit, moved: moved.includes('psi') },
    arm('mean_shift'),
    arm('variance_ratio'),
    arm('missing_shift'),
  ];
}
