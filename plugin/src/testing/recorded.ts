/** A backend that gives recorded answers; `tests/support/datasource_support/recorded_answers.py` records them. */
import answers from './answers.json';
import { FakeBackend, type Reply, type Request } from './backend';

const RECORDED = answers as unknown as Record<string, { status: number; data: unknown }>;

/** The address of a recorded answer that begins with `path`; its body and status. */
export function recorded(path: string): Reply {
  const address = Object.keys(RECORDED).find((each) => each === path || each.startsWith(`${path}?`));
  const answer = address === undefined ? undefined : RECORDED[address];
  if (!answer) {
    throw new Error(`No answer is recorded for ${path}`);
  }
  return answer;
}

/** Answers by path alone, whatever the parameters are. */
export const recordedBackend = () => new FakeBackend(({ url }) => recorded(pathOf(url)));

export const pathOf = (url: string) => url.replace(/^.*?\/(read|write)\//, '').replace(/\?.*$/, '');

/** The parameters of a request. */
export const paramsOf = ({ url }: Request) => new URLSearchParams(url.split('?')[1] ?? '');
