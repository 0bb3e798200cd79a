/** Values as people read them; a missing one is a dash. */
import { dateTimeFormat, getValueFormat } from '@grafana/data';

export const NONE = '–';

/** A number with at most `digits` significant digits. */
export function numberText(value: number | null | undefined, digits = 3): string {
  return isNumber(value) ? value.toLocaleString(undefined, { maximumSignificantDigits: digits }) : NONE;
}

export function countText(value: number | null | undefined): string {
  return isNumber(value) ? Math.round(value).toLocaleString() : NONE;
}

export function shareText(value: number | null | undefined): string {
  return isNumber(value) ? `${numberText(value * 100)} %` : NONE;
}

/** A difference of two shares. */
export function pointsText(value: number | null | undefined): string {
  return isNumber(value) ? `${numberText(value * 100)} points` : NONE;
}

/** A measured time, such as a latency. */
export function secondsText(value: number | null | undefined): string {
  if (!isNumber(value)) {
    return NONE;
  }
  const { text, suffix } = getValueFormat('s')(value);
  return `${text}${suffix ?? ''}`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const;

/** How long something lasted, in its two largest units: 1 d 4 h. */
export function durationText(seconds: number | null | undefined): string {
  if (!isNumber(seconds)) {
    return NONE;
  }
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  const [unit, size] = UNITS[first] ?? ['s', 1];
  const [next, part] = UNITS[first + 1] ?? ['s', 1];
  const count = Math.floor(seconds / size);
  const rest = Math.floor((seconds - count * size) / part);
  return rest > 0 ? `${count} ${unit} ${rest} ${next}` : `${count} ${unit}`;
}

export function momentText(milliseconds: number | null | undefined): string {
  return isNumber(milliseconds) ? dateTimeFormat(milliseconds) : NONE;
}

/** The day of a moment, in the time zone of the reader. */
export function dayText(milliseconds: number | null | undefined): string {
  return isNumber(milliseconds) ? dateTimeFormat(milliseconds, { format: 'YYYY-MM-DD' }) : NONE;
}

const CENTS = { maximumFractionDigits: 2, minimumFractionDigits: 2 };
const TWO_DIGITS = { maximumSignificantDigits: 2 };

/** An amount of a currency, whose code may be one that no browser knows. Less than a cent is not nothing. */
export function moneyText(amount: number | null | undefined, currency: string | null): string {
  if (!isNumber(amount)) {
    return NONE;
  }
  const isSmall = amount !== 0 && Math.abs(amount) < 0.01;
  return `${amount.toLocaleString(undefined, isSmall ? TWO_DIGITS : CENTS)} ${currency ?? ''}`.trim();
}

/** What lies between two bounds, either of which may be missing. */
export function intervalText(
  low: number | null,
  high: number | null,
  text: (value: number | null) => string = numberText,
): string {
  if (low === null) {
    return high === null ? NONE : `at most ${text(high)}`;
  }
  return high === null ? `at least ${text(low)}` : `${text(low)} to ${text(high)}`;
}

const isNumber = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);
