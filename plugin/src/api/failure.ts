/** Why the backend gave no answer, as one sentence for whoever reads the panel or page. */

export type FailureKind =
  | 'cancelled'
  | 'unreachable'
  | 'slow'
  | 'not_json'
  | 'broken_off'
  | 'unexpected_answer'
  | 'outdated_backend'
  | 'unauthenticated'
  | 'forbidden'
  | 'refused'
  | 'busy'
  | 'failed';

/** `status` is that of HTTP, undefined where no answer came; `error` is the backend's word for machines. */
export class Failure extends Error {
  override readonly name = 'Failure';

  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly status?: number,
    readonly error?: string,
  ) {
    super(message);
  }
}

/** What `getBackendSrv().fetch` rejects with, as far as it is read here. */
interface FetchFailure {
  status?: number;
  cancelled?: boolean;
  data?: unknown;
}

interface BackendError {
  message: string;
  error: string;
}

const BY_STATUS: Record<number, [FailureKind, string]> = {
  400: ['refused', 'The backend refused the request.'],
  401: [
    'unauthenticated',
    "The backend does not accept the data source's token; it may be wrong or have expired. Whoever administers Grafana can set a new one.",
  ],
  403: [
    'forbidden',
    'You may not do or see this: Grafana or the backend refuses it to your role or organisation.',
  ],
  404: ['refused', 'There is no such thing.'],
  408: ['slow', 'The backend did not answer in time. Choose a shorter time range, or try again.'],
  413: ['refused', 'The request is too large for the backend.'],
  414: ['refused', 'The request is too long for the backend: choose fewer values, or all of them.'],
  422: ['refused', 'The range or the answer is too large. Choose a shorter time range or fewer models.'],
  429: ['busy', 'The backend is asked too often. Try again in a moment.'],
  431: ['refused', 'The request is too long for the backend: choose fewer values, or all of them.'],
  502: ['unreachable', 'The backend cannot be reached. Is it running at the address of the data source?'],
  503: ['busy', 'The backend is not available at the moment. Try again.'],
  504: ['slow', 'The backend did not answer in time. Choose a shorter time range, or try again.'],
};

/** What a backend says about a route that it does not have. */
const UNKNOWN_ROUTE = 'The requested URL was not found';

export const SLOW = (seconds: number) =>
  new Failure(
    'slow',
    `The backend did not answer within ${seconds} s. Choose a shorter time range, or try again.`,
  );

/** The failure behind what a request was rejected with; `path` is that of the route. */
export function failureOf(reason: unknown, path: string): Failure {
  if (reason instanceof Failure) {
    return reason;
  }
  const { status, cancelled, data } = (reason ?? {}) as FetchFailure;
  if (cancelled) {
    return new Failure('cancelled', 'The request was cancelled.');
  }
  if (!status || status < 0) {
    return new Failure('unreachable', 'Grafana cannot be reached. Check the connection and try again.');
  }
  if (isBackendError(data)) {
    return ofBackend(status, data, path);
  }
  const [kind, message] = BY_STATUS[status] ?? ['failed', `The backend failed with status ${status}.`];
  return new Failure(kind, message, status);
}

/** The backend's own sentence; but its sentence about a missing token is for whoever calls it by hand. */
function ofBackend(status: number, { message, error }: BackendError, path: string): Failure {
  if (error === 'unauthenticated') {
    const [kind, sentence] = BY_STATUS[401] as [FailureKind, string];
    return new Failure(kind, sentence, status, error);
  }
  if (status === 404 && message.startsWith(UNKNOWN_ROUTE)) {
    const sentence = `The backend has no ${path}: it is older than this plugin. Bring both to one version.`;
    return new Failure('outdated_backend', sentence, status, error);
  }
  const kind = BY_STATUS[status]?.[0] ?? 'failed';
  return new Failure(kind === 'unreachable' ? 'failed' : kind, message, status, error);
}

/** Grafana's own errors have a message, too, but no word for machines. */
function isBackendError(data: unknown): data is BackendError {
  const body = data as Partial<BackendError> | null;
  return typeof body === 'object' && typeof body?.message === 'string' && typeof body.error === 'string';
}
