import { type TimeRange, dateTime, rangeUtil } from '@grafana/data';
import { useCallback, useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { type Changes, changed, momentOf, pageOf } from './search';

export interface Search {
  /** The whole query of the address. */
  params: URLSearchParams;
  text: (name: string) => string;
  list: (name: string) => string[];
  page: number;
  change: (changes: Changes) => void;
}

/** What is chosen on this page; every choice becomes part of its address. */
export function useSearch(): Search {
  const [params, setParams] = useSearchParams();
  const change = useCallback(
    (changes: Changes) => setParams((before) => changed(before, changes), { replace: true }),
    [setParams],
  );
  return {
    params,
    text: (name) => params.get(name) ?? '',
    list: (name) => params.getAll(name),
    page: pageOf(params),
    change,
  };
}

export interface ChosenRange {
  range: TimeRange;
  /** The range as parameters of the API. */
  params: { from: string; to: string };
  choose: (range: TimeRange) => void;
}

/** The time range in the address, else the last `length`, such as 6h. */
export function useRange(length: string): ChosenRange {
  const { text, change } = useSearch();
  const [from, to] = [text('from') || `now-${length}`, text('to') || 'now'];
  const range = useMemo(() => rangeOf(from, to), [from, to]);
  return {
    range,
    params: { from: momentOf(from, range.from.valueOf()), to: momentOf(to, range.to.valueOf()) },
    choose: ({ raw }) => change({ from: rawText(raw.from), to: rawText(raw.to) }),
  };
}

function rangeOf(from: string, to: string): TimeRange {
  const raw = { from: momentIn(from), to: momentIn(to) };
  return { ...rangeUtil.convertRawToRange(raw), raw };
}

const momentIn = (text: string) => (/^\d+$/.test(text) ? dateTime(Number(text)) : text);
const rawText = (raw: TimeRange['raw']['from']) => (typeof raw === 'string' ? raw : String(raw.valueOf()));
