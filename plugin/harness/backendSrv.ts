/** Grafana's `getBackendSrv` over the browser's fetch: aborts when nobody waits, rejects as Grafana does. */
import { Observable, lastValueFrom, map } from 'rxjs';

interface Options {
  url: string;
  method?: string;
  data?: unknown;
  responseType?: string;
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

export const backendSrv = {
  fetch: ({ url, method = 'GET', data, responseType }: Options) =>
    new Observable<{ data: unknown; status: number }>((observer) => {
      const control = new AbortController();
      const body = data === undefined ? undefined : JSON.stringify(data);
      fetch(url, {
        method,
        body,
        signal: control.signal,
        headers: body ? { 'Content-Type': 'application/json' } : {},
      })
        .then(async (response) => {
          const text = await response.text();
          const answer = {
            data: responseType === 'text' ? text : parsed(text),
            status: response.status,
            statusText: response.statusText,
          };
          if (!response.ok) {
            observer.error(answer);
            return;
          }
          observer.next(answer);
          observer.complete();
        })
        .catch((reason: unknown) => observer.error(reason));
      return () => control.abort();
    }),
  get: (url: string) => lastValueFrom(backendSrv.fetch({ url }).pipe(map(({ data }) => data))),
};
