/** What a page knows about an answer that it waits for. */
import { useCallback, useEffect, useState } from 'react';
import type { Observable } from 'rxjs';
import { type Client, Failure } from '../../api';
import { useConnection } from './connection';

export type Answer<T> =
  | { state: 'loading'; value?: undefined }
  | { state: 'done'; value: T }
  | { state: 'failed'; failure: Failure; value?: undefined };

export type Repeatable<T> = Answer<T> & { again: () => void };

/** Texts and numbers that a question depends on. */
type Inputs = ReadonlyArray<string | number | boolean | undefined | readonly string[]>;

const LOADING = { state: 'loading' } as const;

/**
 * The answer to `ask`, asked anew when one of `inputs` changes or `again` is called. An answer to other inputs
 * is never shown, and a request that is no longer wanted is cancelled.
 */
export function useAnswer<T>(ask: (client: Client) => Observable<T>, inputs: Inputs): Repeatable<T> {
  const { client, source } = useConnection();
  const [known, setKnown] = useState<{ question: string; answer: Answer<T> }>();
  const [turn, setTurn] = useState(0);
  const question = JSON.stringify([source?.uid, ...inputs]);
  const again = useCallback(() => {
    setKnown((before) => (before?.answer.state === 'failed' ? undefined : before));
    setTurn((before) => before + 1);
  }, []);
  useEffect(() => {
    const waiting =
      client &&
      ask(client).subscribe({
        next: (value) => setKnown({ question, answer: { state: 'done', value } }),
        error: (failure: Failure) => setKnown({ question, answer: { state: 'failed', failure } }),
      });
    return () => waiting?.unsubscribe();
    // `ask` is made anew by each rendering; the question says what it depends on.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [client, turn, question]);
  return { ...(known?.question === question ? known.answer : LOADING), again };
}
