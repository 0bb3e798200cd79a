/** A `getBackendSrv` for tests: it answers what a test says, and counts what it is asked. */
import { Observable } from 'rxjs';

export interface Request {
  method: string;
  url: string;
  data?: unknown;
}

export interface Reply {
  status?: number;
  data: unknown;
}

export class FakeBackend {
  readonly requests: Request[] = [];
  readonly aborted: string[] = [];

  /** `reply` gives an answer, undefined for one that never comes. */
  constructor(public reply: (request: Request) => Reply | undefined) {}

  fetch = (request: Request) =>
    new Observable<Reply>((observer) => {
      this.requests.push(request);
      let waiting = true;
      const reply = this.reply(request);
      if (reply) {
        queueMicrotask(() => {
          waiting = false;
          const { status = 200 } = reply;
          if (status >= 400 || status <= 0) {
            observer.error(reply);
          } else {
            observer.next({ ...reply, status });
            observer.complete();
          }
        });
      }
      return () => void (waiting && this.aborted.push(request.url));
    });
}
