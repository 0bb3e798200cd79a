/** What the ledger's rows add up to, by currency, and files of them. */
import type { CostRow } from '../../api';

export const GROUPS = ['tenant', 'model', 'version'].map((value) => ({ value, label: value }));
export const IDLE_POLICIES = [
  { value: '', label: 'Backend setting' },
  { value: 'keep', label: 'Nobody' },
  { value: 'proportional', label: 'Users, by use' },
  { value: 'even', label: 'Users, evenly' },
] as const;

/** Who pays for idle time by a policy, in words. */
export const idlePayer = (policy: string) =>
  IDLE_POLICIES.find(({ value }) => value === policy)?.label ?? policy;

/** How kinds count in a total, where that is not once: the last two are reported and not charged. */
const SIGNS: Record<string, number> = { over: -1, capacity: 0, excess: 0 };

export interface Total {
  kind: string;
  currency: string;
  amount: number;
  /** The part that is spread over gaps in scraping, in the unit of the quantity. */
  estimated: number;
  quantity: number;
  unit: string;
}

/** Sums by kind, unit and currency; what has no price has the currency '' and comes last. */
export function totalsOf(rows: readonly CostRow[]): Total[] {
  const totals = new Map<string, Total>();
  for (const { kind, currency, amount, estimated, quantity, unit } of rows) {
    const key = JSON.stringify([kind, unit, currency]);
    const total = totals.get(key) ?? {
      kind,
      unit,
      currency: currency ?? '',
      amount: 0,
      estimated: 0,
      quantity: 0,
    };
    totals.set(key, {
      ...total,
      amount: total.amount + (amount ?? 0),
      estimated: total.estimated + estimated,
      quantity: total.quantity + quantity,
    });
  }
  return [...totals.values()].sort((a, b) => Number(!a.currency) - Number(!b.currency));
}

/** What everything costs together, by currency: what is over a device's time was charged twice. */
export function grandTotals(totals: readonly Total[]): Array<[currency: string, amount: number]> {
  const sums = new Map<string, number>();
  for (const { kind, currency, amount } of totals) {
    if (currency) {
      sums.set(currency, (sums.get(currency) ?? 0) + (SIGNS[kind] ?? 1) * amount);
    }
  }
  return [...sums];
}

/** What of the totals has no price. */
export const unpriced = (totals: readonly Total[]) =>
  totals.filter(({ currency, kind, quantity }) => !currency && (SIGNS[kind] ?? 1) > 0 && quantity > 0);

const KINDS: Record<string, string> = {
  direct: 'used',
  idle_share: 'share of idle time',
  over: 'over: charged beyond what there is, subtracted',
  capacity: 'capacity: reported, not charged',
  excess: 'excess: reported, not charged',
};

/** A kind of charge in words. */
export const kindText = (kind: string) => KINDS[kind] ?? kind.replaceAll('_', ' ');

/** Rows in which something was used or paid for. */
export const withSomething = <T extends { quantity: number; amount: number | null }>(
  rows: readonly T[],
): T[] => rows.filter(({ quantity, amount }) => quantity !== 0 || (amount ?? 0) !== 0);

export const costId = (row: CostRow) =>
  JSON.stringify([row.start, row.tenant, row.model, row.version, row.kind, row.unit, row.currency]);

/** The name of a downloaded file, with what browsers and systems take. */
export const fileName = (format: string, from: string, to: string) =>
  `modelplane-costs-${format}-${from}-${to}.csv`.replace(/[^\w.-]/g, '_');
