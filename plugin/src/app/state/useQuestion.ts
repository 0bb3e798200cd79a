import type { Observable } from 'rxjs';
import type { Client, Params } from '../../api';
import { type Repeatable, useAnswer } from './useAnswer';

/** The answer to `ask` with `params`, asked anew when one of these changes. */
export function useQuestion<T>(
  ask: (client: Client, params: Params) => Observable<T>,
  params: Params,
): Repeatable<T> {
  return useAnswer((client) => ask(client, params), [JSON.stringify(params)]);
}
