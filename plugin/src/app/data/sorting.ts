/** Rows in the order that a page's address names: `sort=name`, or `sort=-name` for the largest first. */

export interface Sort {
  column: string;
  descending: boolean;
}

export type Value = string | number | boolean | null | undefined;

export function parseSort(text: string): Sort | undefined {
  const column = text.replace(/^-/, '');
  return column ? { column, descending: text.startsWith('-') } : undefined;
}

export const sortText = ({ column, descending }: Sort) => `${descending ? '-' : ''}${column}`;

/** A sorted copy; equal rows keep their order, and rows without a value come last either way. */
export function sortRows<T>(rows: readonly T[], valueOf: (row: T) => Value, descending: boolean): T[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [valueOf(one), valueOf(other)];
    if (isMissing(a) || isMissing(b)) {
      return Number(isMissing(a)) - Number(isMissing(b));
    }
    return sign * compare(a, b);
  });
}

type Present = string | number | boolean;

function isMissing(value: Value): value is null | undefined {
  return value === null || value === undefined || value === '' || Number.isNaN(value);
}

function compare(a: Value, b: Value): number {
  if (typeof a === 'number' && typeof b === 'number') {
    return a - b;
  }
  return String(a as Present).localeCompare(String(b as Present), undefined, { numeric: true });
}
