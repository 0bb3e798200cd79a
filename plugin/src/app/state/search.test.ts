import { describe, expect, it } from 'vitest';
import { boardUrl, incidentUrl, pageUrl, safeUrl, urlOf } from './links';
import { changed, momentOf, pageOf } from './search';

const STRANGE = 'a/b "$x" 🦊&c=d#%';

describe('the address of a page', () => {
  it('has a parameter for each value, and none for nothing', () => {
    const after = changed(new URLSearchParams('a=1&b=2&page=3'), { a: ['x', STRANGE], b: '', c: undefined });
    expect(after.getAll('a')).toEqual(['x', STRANGE]);
    expect([...after.keys()]).toEqual(['a', 'a']);
  });

  it('goes to the first page with every other choice, and keeps the rest', () => {
    expect(changed(new URLSearchParams('a=1&page=3'), { b: '2' }).toString()).toBe('a=1&b=2');
    expect(changed(new URLSearchParams('a=1'), { page: '4' }).toString()).toBe('a=1&page=4');
  });

  it.each([
    ['', 1],
    ['page=0', 1],
    ['page=x', 1],
    ['page=2.5', 1],
    ['page=7', 7],
  ])('%s is page %i', (search, page) => {
    expect(pageOf(new URLSearchParams(search))).toBe(page);
  });

  it('gives times that the API knows as they are, and others computed', () => {
    expect(momentOf('now-6h', 5)).toBe('now-6h');
    expect(momentOf('now/d', 5)).toBe('5');
    expect(momentOf('2026-01-01', 5)).toBe('5');
  });
});

describe('links', () => {
  it('have names encoded, and give them back', () => {
    const url = new URL(pageUrl('drift', { signal: STRANGE }), 'http://here');
    expect(url.pathname).toBe(urlOf('drift'));
    expect(url.searchParams.get('signal')).toBe(STRANGE);
    expect(decodeURIComponent(incidentUrl(STRANGE).split('/').at(-1) ?? '')).toBe(STRANGE);
  });

  it('narrow a board by what is named, not by all tenants together', () => {
    expect(boardUrl('', '__all__')).toBe('/d/mp-fleet');
    expect(new URL(boardUrl(STRANGE, 'acme'), 'http://here').searchParams.get('var-model')).toBe(STRANGE);
  });

  it('from alerts are followed to web pages alone', () => {
    expect(safeUrl('https://runbooks/x')).toBe('https://runbooks/x');
    expect(['javascript:alert(1)', ' https://x', 'data:text/html,x', ''].map(safeUrl)).toEqual(
      Array(4).fill(undefined),
    );
  });
});
