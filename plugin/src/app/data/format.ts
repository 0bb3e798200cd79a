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

export function secondsText(value: number | null | undefined): string {
  if (!isNumber(value)) {
    return NONE;
  }
  const { text, suffix } = getValueFormat('s')(value);
  return `${text}${suffix ?? ''}`;
}

export function momentText(milliseconds: number | null | undefined): string {
  return isNumber(milliseconds) ? dateTimeFormat(milliseconds) : NONE;
}

/** An amount of a currency, whose code may be one that no browser knows. */
export function moneyText(amount: number | null | undefined, currency: string | null): string {
  return isNumber(amount)
    ? `${amount.toLocaleString(undefined, { maximumFractionDigits: 2, minimumFractionDigits: 2 })} ${currency ?? ''}`.trim()
    : NONE;
}

/** What lies between two bounds, either of which may be missing. */
export function intervalText(
  low: number | null,
  high: number | null,
  text: (value: number | null) => string = numberText,
): string {
  return low === null && high === null ? NONE : `${text(low)} to ${text(high)}`;
}

const isNumber = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);
