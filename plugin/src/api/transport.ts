/** Requests to the backend through Grafana, which adds the token. */
import { getBackendSrv } from '@grafana/runtime';
import {
  type Observable,
  ReplaySubject,
  TimeoutError,
  catchError,
  finalize,
  map,
  share,
  throwError,
  timeout,
} from 'rxjs';
import { Failure, SLOW, failureOf } from './failure';

/** A parameter may have several values; one without any is left out. */
export type Params = Record<string, string | number | readonly string[] | undefined>;

const TIMEOUT_SECONDS = 60;
/** Longer addresses are refused by servers on the way; 1000 values of a parameter are the backend's own limit. */
const MAX_URL_LENGTH = 60_000;
const MAX_VALUES = 1000;

/** `path` with its parameters as a query; Failure for more values than the backend takes. */
export function addressOf(path: string, params: Params = {}): string {
  const pairs = Object.entries(params).flatMap(([name, value]) => {
    const values = value === undefined ? [] : Array.isArray(value) ? value : [value];
    if (values.length > MAX_VALUES) {
      throw tooMany(name, values.length);
    }
    return values.map((each) => `${encodeURIComponent(name)}=${encodeURIComponent(String(each))}`);
  });
  const address = pairs.length ? `${path}?${pairs.join('&')}` : path;
  if (address.length > MAX_URL_LENGTH) {
    throw new Failure('refused', 'The values chosen are too long for one request: choose fewer, or All.');
  }
  return address;
}

function tooMany(name: string, count: number): Failure {
  const message = `${name} has ${count} values; allowed: at most ${MAX_VALUES}. Choose fewer, or All.`;
  return new Failure('refused', message);
}

/**
 * Sends requests below one address of Grafana's proxy. Equal reads that are under way are asked once; a read
 * ends in the browser when nobody waits for it any more.
 */
export class Transport {
  private readonly pending = new Map<string, Observable<unknown>>();

  constructor(private readonly proxyUrl: string) {}

  /** The body of a GET; errors are `Failure`. */
  read(path: string, params?: Params): Observable<unknown> {
    let address: string;
    try {
      address = addressOf(path, params);
    } catch (reason) {
      return throwError(() => failureOf(reason, path));
    }
    const pending = this.pending.get(address);
    if (pending) {
      return pending;
    }
    const answer = this.send('GET', `read/${address}`, path).pipe(
      finalize(() => this.pending.delete(address)),
      share({ connector: () => new ReplaySubject(1), resetOnComplete: false, resetOnRefCountZero: true }),
    );
    this.pending.set(address, answer);
    return answer;
  }

  /** The text of a GET that does not answer with JSON, such as CSV; errors are `Failure`. */
  readText(path: string, params?: Params): Observable<string> {
    try {
      return this.fetch('GET', `read/${addressOf(path, params)}`, path, undefined, 'text').pipe(
        map(({ data }) => String(data)),
      );
    } catch (reason) {
      return throwError(() => failureOf(reason, path));
    }
  }

  /** The body of the answer to a POST; errors are `Failure`. */
  write(path: string, params: Params, body: unknown): Observable<unknown> {
    try {
      return this.send('POST', `write/${addressOf(path, params)}`, path, body);
    } catch (reason) {
      return throwError(() => failureOf(reason, path));
    }
  }

  private send(method: string, address: string, path: string, data?: unknown): Observable<unknown> {
    return this.fetch(method, address, path, data).pipe(
      map((response) => parsed(response.data, response.status)),
    );
  }

  private fetch(
    method: string,
    address: string,
    path: string,
    data?: unknown,
    responseType?: 'text',
  ): Observable<{ data: unknown; status: number }> {
    const url = `${this.proxyUrl}/${address}`;
    const options = { method, url, data, responseType, showErrorAlert: false, showSuccessAlert: false };
    return getBackendSrv()
      .fetch<unknown>(options)
      .pipe(
        timeout(TIMEOUT_SECONDS * 1000),
        catchError((reason: unknown) =>
          throwError(() =>
            reason instanceof TimeoutError ? SLOW(TIMEOUT_SECONDS) : failureOf(withParsedBody(reason), path),
          ),
        ),
      );
  }
}

/** An error's body is JSON even where the answer would have been text. */
function withParsedBody(reason: unknown): unknown {
  const { data } = (reason ?? {}) as { data?: unknown };
  if (typeof data !== 'string') {
    return reason;
  }
  try {
    return { ...(reason as object), data: JSON.parse(data) as unknown };
  } catch {
    return reason;
  }
}

/** The body of an answer. Grafana hands over the text of one that is not JSON. */
function parsed(body: unknown, status: number): unknown {
  if (body !== null && typeof body === 'object') {
    return body;
  }
  if (typeof body === 'string' && /^\s*[{[]/.test(body)) {
    throw new Failure('broken_off', "The backend's answer broke off. Try again.", status);
  }
  const message =
    "What answers at the data source's address is not modelplane's backend: its answer is no JSON.";
  throw new Failure('not_json', message, status);
}
