import { useState } from 'react';
import { type Observable } from 'rxjs';
import { type Client, Failure } from '../../api';
import { useConnection } from './connection';

export interface Write {
  isPending: boolean;
  failure: Failure | undefined;
  /** Send it; `done` is called with the answer. */
  send: <T>(ask: (client: Client) => Observable<T>, done: (value: T) => void) => void;
}

/** Something that is asked for by a click, and never twice at once. */
export function useWrite(): Write {
  const { client } = useConnection();
  const [isPending, setPending] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  return {
    isPending,
    failure,
    send: (ask, done) => {
      if (!client || isPending) {
        return;
      }
      setPending(true);
      setFailure(undefined);
      ask(client).subscribe({
        next: done,
        error: (reason: Failure) => {
          setPending(false);
          setFailure(reason);
        },
        complete: () => setPending(false),
      });
    },
  };
}
