/** What the backend can see of its own plane, each check as one sentence. */
import type { Failure, RegistryAnswer, Watchdog } from '../../api';
import { pageUrl } from '../state/links';
import { type Answer } from '../state/useAnswer';
import { countText, durationText } from './format';

export interface Finding {
  check: string;
  state: 'ok' | 'warning' | 'failed' | 'checking';
  text: string;
  /** Where more is said. */
  to?: string;
}

/** Alertmanager repeats the alert that always fires more often than this. */
const WATCHDOG_SECONDS = 300;

export interface Checks {
  registry: Answer<RegistryAnswer>;
  incidents: Answer<unknown>;
  silences: Answer<unknown>;
  watchdog: Answer<Watchdog>;
}

export function findingsOf({ registry, incidents, silences, watchdog }: Checks): Finding[] {
  return [
    finding('Prometheus', registry, () => ok('It answers.')),
    finding('Registry', registry, registryFinding),
    finding('Alert store', incidents, () => ok('It answers.')),
    finding('Alertmanager', silences, () => ok('It answers.')),
    finding('Delivery of alerts', watchdog, watchdogFinding),
  ];
}

type Judged = Omit<Finding, 'check'>;

const ok = (text: string): Judged => ({ state: 'ok', text });

function finding<T>(check: string, answer: Answer<T>, judge: (value: T) => Judged): Finding {
  if (answer.state === 'failed') {
    return { check, ...failed(answer.failure) };
  }
  if (answer.state === 'loading') {
    return { check, state: 'checking', text: 'Checking' };
  }
  return { check, ...judge(answer.value) };
}

/** What somebody may not see is no fault of the plane. */
const failed = ({ kind, message }: Failure): Judged => ({
  state: kind === 'forbidden' ? 'warning' : 'failed',
  text: message,
});

function registryFinding({ states, warnings }: RegistryAnswer): Judged {
  const [undeclared, unseen] = [states.undeclared ?? 0, states.unseen ?? 0];
  if (warnings.length > 0) {
    return { state: 'warning', text: warnings.join(' ') };
  }
  if (undeclared + unseen === 0) {
    return ok('All that is declared is seen, and all that is seen is declared.');
  }
  const text = `${countText(undeclared)} versions are seen and not declared, ${countText(unseen)} declared and not seen.`;
  return { state: 'warning', text, to: pageUrl('registry', { state: ['undeclared', 'unseen'] }) };
}

function watchdogFinding({ age_seconds: age }: Watchdog): Judged {
  if (age === null) {
    return {
      state: 'failed',
      text: 'The alert that always fires never came: alerts may not reach the backend.',
    };
  }
  const text = `The alert that always fires last came ${durationText(age)} ago.`;
  return { state: age > WATCHDOG_SECONDS ? 'failed' : 'ok', text };
}
