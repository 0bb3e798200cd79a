/** What is chosen on a page, as it stands in the query of its address. */

/** A parameter that is undefined, empty, or a list of nothing leaves the address. */
export type Changes = Record<string, string | readonly string[] | undefined>;

/** The page of a list starts anew whenever something else is chosen. */
export const PAGE = 'page';

export function changed(search: URLSearchParams, changes: Changes): URLSearchParams {
  const after = new URLSearchParams(search);
  if (!(PAGE in changes)) {
    after.delete(PAGE);
  }
  for (const [name, value] of Object.entries(changes)) {
    after.delete(name);
    const values = value === undefined ? [] : typeof value === 'string' ? [value] : value;
    values.filter((each) => each !== '').forEach((each) => after.append(name, each));
  }
  return after;
}

/** The number of the page, 1 for the first and for what is no number. */
export function pageOf(search: URLSearchParams): number {
  const page = Number(search.get(PAGE));
  return Number.isInteger(page) && page >= 1 ? page : 1;
}

/** A moment as the API takes it: relative ones stay so, those that it does not know are computed. */
export function momentOf(raw: string, computed: number): string {
  return /^now(-\d+[smhdw])?$/.test(raw) ? raw : String(computed);
}
