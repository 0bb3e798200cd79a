/** The states that every page has: loading, failed, forbidden, empty, and the answer. */
import { Alert, Button, EmptyState, LoadingPlaceholder, Text } from '@grafana/ui';
import type { ReactNode } from 'react';
import type { Failure } from '../../api';
import { Bullets } from './Facts';
import type { Repeatable } from '../state/useAnswer';

interface Props<T> {
  answer: Repeatable<T>;
  /** The sentence that stands where there is nothing; `isEmpty` says when. */
  empty?: string;
  isEmpty?: (value: T) => boolean;
  /** Whether it is a part of a page that has more to show. */
  isPart?: boolean;
  children: (value: T) => ReactNode;
}

export function AnswerView<T>({ answer, empty, isEmpty, isPart, children }: Props<T>) {
  if (answer.state === 'failed') {
    return <FailureView failure={answer.failure} again={answer.again} />;
  }
  if (answer.value === undefined) {
    return <LoadingPlaceholder text="Loading" />;
  }
  if (empty !== undefined && isEmpty?.(answer.value)) {
    return isPart ? (
      <Text color="secondary">{`${empty}.`}</Text>
    ) : (
      <EmptyState variant="not-found" message={empty} />
    );
  }
  return <>{children(answer.value)}</>;
}

/** Why there is no answer. What is forbidden stays so: it cannot be tried again. */
export function FailureView({ failure, again }: { failure: Failure; again?: () => void }) {
  if (failure.kind === 'forbidden') {
    return (
      <Alert severity="warning" title="Not permitted">
        {failure.message}
      </Alert>
    );
  }
  return (
    <Alert severity="error" title="No answer">
      <p>{failure.message}</p>
      {again && (
        <Button variant="secondary" onClick={again}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

/** Warnings of an answer: what the reader should know besides. */
export function Warnings({ texts }: { texts: string[] }) {
  if (texts.length < 2) {
    return <>{texts[0] && <Alert severity="warning" title={texts[0]} />}</>;
  }
  return (
    <Alert severity="warning" title={`${texts.length} warnings`}>
      <Bullets>
        {texts.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </Bullets>
    </Alert>
  );
}
