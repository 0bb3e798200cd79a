import { Badge } from '@grafana/ui';
import { colorOf } from '../data/colors';

/** A word of the API about severity, status or verdict: in words, so that nobody needs its color. */
export function WordBadge({ word, label }: { word: string; label?: string }) {
  return word ? <Badge text={label ?? word.replaceAll('_', ' ')} color={colorOf(word)} /> : null;
}
