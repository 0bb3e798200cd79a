/** What a backend, or something in its place, may answer that is no answer, and the sentence for people. */
import type { Reply } from './backend';

const ofBackend = (status: number, message: string, error: string): Reply => ({
  status,
  data: { message, error, details: {} },
});

/** What was wrong, what came, and what is said. */
export type BadReply = [string, Reply, string];

export const BAD_REPLIES: BadReply[] = [
  [
    'a backend that is down',
    { status: 502, data: { message: 'Bad Gateway' } },
    'The backend cannot be reached.',
  ],
  ['a Grafana that is down', { status: 0, data: undefined }, 'Grafana cannot be reached.'],
  ['a slow backend', { status: 504, data: '' }, 'The backend did not answer in time.'],
  [
    'an old backend',
    ofBackend(404, 'The requested URL was not found on the server.', 'not_found'),
    'it is older than this plugin',
  ],
  ['HTML', { data: '<!DOCTYPE html><html></html>' }, "is not modelplane's backend"],
  ['half an answer', { data: '{"rows": [{"model_na' }, "The backend's answer broke off."],
  [
    'an expired token',
    { status: 401, data: { message: 'Unauthorized' } },
    "does not accept the data source's token",
  ],
  [
    'an expired token, as the backend says it',
    ofBackend(403, 'A valid token is needed: send the header.', 'unauthenticated'),
    "does not accept the data source's token",
  ],
  [
    'a role that may not',
    { status: 403, data: { message: 'plugin proxy route access denied' } },
    'You may not do or see this',
  ],
  [
    'the identity of another organisation',
    ofBackend(403, 'Nothing is mapped to organisation 7.', 'identity'),
    'Nothing is mapped to organisation 7.',
  ],
  [
    'too much',
    ofBackend(422, 'The range has more points than 11000.', 'too_large'),
    'more points than 11000',
  ],
  ['a busy backend', { status: 503, data: '<html></html>' }, 'The backend is not available at the moment.'],
];
