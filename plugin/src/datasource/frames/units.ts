/** Grafana's ids of the units of the backend's catalogue. */
const UNITS: Record<string, string> = {
  seconds: 's',
  ratio: 'percentunit',
  bytes: 'bytes',
  watts: 'watt',
  joules: 'joule',
  count: 'short',
  number: 'none',
  requests_per_second: 'reqps',
  tokens_per_second: 'suffix: tokens/s',
  tokens: 'suffix: tokens',
};

/** The unit of a value; money is of the currency that its labels or its row name. Undefined where none is known. */
export function unitOf(unit: string | null, currency?: string | null): string | undefined {
  if (unit === 'currency') {
    return currency ? `currency:${currency} ` : undefined;
  }
  if (unit === 'currency_per_million_tokens') {
    return currency ? `suffix: ${currency}/M tokens` : undefined;
  }
  return unit === null ? undefined : UNITS[unit];
}
