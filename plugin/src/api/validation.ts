import * as v from 'valibot';
import { Failure } from './failure';

/** `body` as `schema` says; a Failure that names the first place where it is not. */
export function checked<T extends v.GenericSchema>(schema: T, body: unknown, path: string): v.InferOutput<T> {
  const result = v.safeParse(schema, body, { abortEarly: true });
  if (result.success) {
    return result.output;
  }
  const issue = result.issues[0];
  const place = v.getDotPath(issue) ?? 'the whole';
  const message = `The backend's answer to ${path} is not as expected: ${place} is ${issue.received}, not ${issue.expected}. Plugin and backend may differ in version.`;
  throw new Failure('unexpected_answer', message);
}
