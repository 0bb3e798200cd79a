import { Badge, type BadgeColor } from '@grafana/ui';

const COLORS: Record<string, BadgeColor> = {
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
};

/** A word of the API about severity, status or verdict: in words, so that nobody needs its color. */
export function WordBadge({ word, label }: { word: string; label?: string }) {
  return word ? <Badge text={label ?? word.replaceAll('_', ' ')} color={COLORS[word] ?? 'blue'} /> : null;
}
