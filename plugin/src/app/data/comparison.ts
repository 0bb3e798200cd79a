/** A comparison of two versions: the line for a pipeline, values by unit, and verdicts over time. */
import { type DataFrame, FieldType, createDataFrame } from '@grafana/data';
import type { Indicator, Verdicts } from '../../api';
import { wordMappings } from './colors';
import { intervalText, NONE, numberText, pointsText, secondsText, shareText } from './format';

export interface Compared {
  model: string;
  tenants: readonly string[];
  baseline: string;
  candidate: string;
  from: string;
}

/** The command that asks the same from a pipeline, for a POSIX shell. */
export function gateCommand({ model, tenants, baseline, candidate, from }: Compared): string {
  const options: Array<[string, string]> = [
    ['model-name', model],
    ...tenants.map((tenant): [string, string] => ['tenant-id', tenant]),
    ['baseline', baseline],
    ['candidate', candidate],
    ['from', from],
  ];
  return [
    'modelplane gate',
    ...options.map(([name, value]) => `--${name}=${shellWord(value)}`),
    '--wait=30m',
  ].join(' ');
}

/** A text as one word of a POSIX shell. */
export const shellWord = (text: string) =>
  /^[\w.,:/@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** How a value of an indicator is written. */
export function textOf({ unit }: Pick<Indicator, 'unit'>): (value: number | null) => string {
  return unit === 'seconds' ? secondsText : unit === 'ratio' ? shareText : numberText;
}

/** How a difference is written: a relative one is a share whatever the unit, one of shares is in points. */
function differenceIn(indicator: Indicator): (value: number | null) => string {
  const { relative, unit } = indicator;
  return relative ? shareText : unit === 'ratio' ? pointsText : textOf(indicator);
}

export function differenceText(indicator: Indicator): string {
  const { difference, low, high } = indicator;
  return withInterval(difference, low, high, differenceIn(indicator));
}

export const marginText = (indicator: Indicator) => differenceIn(indicator)(indicator.margin);

export function sideText(indicator: Indicator, side: 'baseline' | 'candidate'): string {
  const [low, high] = [indicator[`${side}_low`], indicator[`${side}_high`]];
  return withInterval(indicator[side], low, high, textOf(indicator));
}

/** A value with its interval; one dash where neither is known. */
function withInterval(
  value: number | null,
  low: number | null,
  high: number | null,
  text: (value: number | null) => string,
): string {
  const interval = intervalText(low, high, text);
  return interval === NONE ? text(value) : `${text(value)} (${interval})`;
}

/** What keeps the comparison from an answer, each indicator's reason. */
export const undecided = (indicators: readonly Indicator[]) =>
  indicators.filter(({ verdict }) => verdict === 'not_enough_data' || verdict === 'no_traffic');

/** A frame for each indicator, the whole first: its verdict at the end of slice after slice. */
export function verdictFrames({ rows }: Verdicts): DataFrame[] {
  const names = [...new Set(rows.map(({ indicator }) => indicator))];
  const ordered = names.includes('all') ? ['all', ...names.filter((name) => name !== 'all')] : names;
  return ordered.map((name) => {
    const ofName = rows.filter(({ indicator }) => indicator === name).sort((a, b) => a.time - b.time);
    return createDataFrame({
      name,
      fields: [
        { name: 'time', type: FieldType.time, values: ofName.map(({ time }) => time) },
        {
          name: 'verdict',
          type: FieldType.string,
          values: ofName.map(({ verdict }) => verdict.replaceAll('_', ' ')),
          config: { displayNameFromDS: name, mappings: wordMappings },
        },
      ],
    });
  });
}
