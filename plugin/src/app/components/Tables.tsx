/** Tables of a page: one whose order stands in the address, one that the server pages. */
import { type CellProps, InteractiveTable, Pagination, Stack, Text } from '@grafana/ui';
import { type ReactNode, useCallback, useMemo } from 'react';
import { countText } from '../data/format';
import { type Value, parseSort, sortRows, sortText } from '../data/sorting';
import { PAGE } from '../state/search';
import { useSearch } from '../state/useSearch';

const PAGE_SIZE = 50;

export interface Column<T> {
  id: string;
  header: string;
  /** What is sorted by, and shown where there is no `cell`; a column without it is not sortable. */
  value?: (row: T) => Value;
  cell?: (row: T) => ReactNode;
  /** The largest first when the header is clicked. */
  descending?: boolean;
}

interface Props<T> {
  columns: ReadonlyArray<Column<T>>;
  rows: T[];
  rowId: (row: T) => string;
  /** The parameter of the address that has the order. */
  sortParameter?: string;
}

export function SortedTable<T extends object>({ columns, rows, rowId, sortParameter = 'sort' }: Props<T>) {
  const { text, change } = useSearch();
  const order = text(sortParameter);
  const sort = parseSort(order);
  const valueOf = columns.find(({ id }) => id === sort?.column)?.value;
  const sorted = useMemo(
    () => (valueOf ? sortRows(rows, valueOf, order.startsWith('-')) : rows),
    [rows, valueOf, order],
  );
  const tableColumns = useMemo(() => columns.map((column) => tableColumn(column, true)), [columns]);
  const initial = useMemo(
    () => (sort ? [{ id: sort.column, desc: sort.descending }] : []),
    // Only the order at the start is read.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [],
  );
  const onSort = useCallback(
    ({ sortBy }: { sortBy: Array<{ id: string; desc?: boolean }> }) => {
      const [first] = sortBy;
      const chosen = first ? sortText({ column: first.id, descending: first.desc ?? false }) : '';
      if (chosen !== order) {
        change({ [sortParameter]: chosen });
      }
    },
    [change, order, sortParameter],
  );
  return (
    <InteractiveTable
      columns={tableColumns as never}
      data={sorted}
      getRowId={rowId}
      initialSortBy={initial as never}
      fetchData={onSort as never}
      pageSize={PAGE_SIZE}
    />
  );
}

/** The parameters of the API that select the page of the address. */
export const pageParams = (page: number) => ({ limit: PAGE_SIZE, offset: (page - 1) * PAGE_SIZE });

/** One page of rows that the server sorts and counts. */
export function PagedTable<T extends object>(props: Omit<Props<T>, 'sortParameter'> & { total: number }) {
  const { columns, rows, rowId, total } = props;
  const { page, change } = useSearch();
  const tableColumns = useMemo(() => columns.map((column) => tableColumn(column, false)), [columns]);
  const first = (page - 1) * PAGE_SIZE + 1;
  return (
    <Stack direction="column" gap={1}>
      <InteractiveTable columns={tableColumns as never} data={rows} getRowId={rowId} />
      <Stack justifyContent="space-between" alignItems="center">
        <Text color="secondary">
          {rows.length === 0
            ? `There are ${countText(total)}; this page has none of them.`
            : `${countText(first)} to ${countText(first + rows.length - 1)} of ${countText(total)}`}
        </Text>
        <Pagination
          currentPage={page}
          numberOfPages={Math.max(1, Math.ceil(total / PAGE_SIZE))}
          onNavigate={(chosen) => change({ [PAGE]: String(chosen) })}
          hideWhenSinglePage={page === 1}
        />
      </Stack>
    </Stack>
  );
}

function tableColumn<T extends object>(
  { id, header, value, cell, descending }: Column<T>,
  sortable: boolean,
) {
  return {
    id,
    header,
    cell: ({ row }: CellProps<T>) => (cell ? cell(row.original) : value?.(row.original)?.toString()),
    ...(sortable && value ? { sortType: 'basic' as const, sortDescFirst: descending ?? false } : {}),
  };
}
