/** Colors of the API's words about severity, status and verdict, in badges and on time lines. */
import { MappingType, type ValueMapping } from '@grafana/data';

const COLORS = {
  critical: 'red',
  warning: 'orange',
  info: 'blue',
  firing: 'red',
  suppressed: 'purple',
  resolved: 'green',
  better: 'green',
  same: 'green',
  no_difference_found: 'green',
  worse: 'red',
  not_enough_data: 'orange',
  no_traffic: 'orange',
  over: 'red',
  within: 'green',
  uncertain: 'orange',
  undeclared: 'orange',
  unseen: 'orange',
  'as declared': 'green',
  ok: 'green',
  failed: 'red',
} as const;

type Color = (typeof COLORS)[keyof typeof COLORS];

export const colorOf = (word: string): Color =>
  Object.hasOwn(COLORS, word) ? COLORS[word as keyof typeof COLORS] : 'blue';

/** Texts of a state timeline, each in its color. */
export const wordMappings: ValueMapping[] = [
  {
    type: MappingType.ValueToText,
    options: Object.fromEntries(
      Object.entries(COLORS).map(([word, color]) => [word.replaceAll('_', ' '), { color }]),
    ),
  },
];
