/** A table of an answer, in the states that every page has. */
import { Stack } from '@grafana/ui';
import type { ReactNode } from 'react';
import type { Repeatable } from '../state/useAnswer';
import { AnswerView, Warnings } from './AnswerView';
import { type Column, PagedTable, SortedTable } from './Tables';

interface Props<A, R> {
  answer: Repeatable<A>;
  rowsOf: (answer: A) => R[];
  columns: ReadonlyArray<Column<R>>;
  rowId: (row: R) => string;
  /** The sentence where there are no rows. */
  empty: string;
  isPart?: boolean;
  /** Whether the page shows the warnings of this answer in another place. */
  isWithoutWarnings?: boolean;
  /** What stands between the warnings and the table. */
  above?: (answer: A) => ReactNode;
}

/** All rows, in the order that the address names by `sortParameter`. */
export function AnswerTable<A extends { warnings: string[] }, R extends object>({
  sortParameter,
  ...props
}: Props<A, R> & { sortParameter?: string }) {
  const { columns, rowId } = props;
  return (
    <Shown {...props} isEmpty={(answer) => props.rowsOf(answer).length === 0}>
      {(rows) => <SortedTable columns={columns} rows={rows} rowId={rowId} sortParameter={sortParameter} />}
    </Shown>
  );
}

/** One page of rows that the server sorts and counts. */
export function AnswerPages<A extends { warnings: string[]; total: number }, R extends object>(
  props: Props<A, R>,
) {
  const { columns, rowId } = props;
  return (
    <Shown {...props} isEmpty={({ total }) => total === 0}>
      {(rows, { total }) => <PagedTable columns={columns} rows={rows} total={total} rowId={rowId} />}
    </Shown>
  );
}

interface ShownProps<A, R> extends Omit<Props<A, R>, 'columns' | 'rowId'> {
  isEmpty: (answer: A) => boolean;
  children: (rows: R[], answer: A) => ReactNode;
}

function Shown<A extends { warnings: string[] }, R>({
  answer,
  rowsOf,
  empty,
  isEmpty,
  isPart,
  isWithoutWarnings,
  above,
  children,
}: ShownProps<A, R>) {
  return (
    <AnswerView answer={answer} isPart={isPart} isEmpty={isEmpty} empty={empty}>
      {(value) => (
        <Stack direction="column" gap={2}>
          {!isWithoutWarnings && <Warnings texts={value.warnings} />}
          {above?.(value)}
          {children(rowsOf(value), value)}
        </Stack>
      )}
    </AnswerView>
  );
}
