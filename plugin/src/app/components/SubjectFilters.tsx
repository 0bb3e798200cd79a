/** What pages about all models and tenants are searched and narrowed by. */
import type { Params } from '../../api';
import { useSearch } from '../state/useSearch';
import { Filters, ListFilter, MenuFilter, SearchFilter } from './Filters';
import { pageParams } from './Tables';

interface Props {
  again: () => void;
  /** A list of the page's own, and the parameter of it. */
  label: string;
  name: string;
  options: ReadonlyArray<{ value: string; label: string }>;
}

export function SubjectFilters({ again, ...list }: Props) {
  return (
    <Filters again={again}>
      <SearchFilter placeholder="Model, tenant or owner" />
      <MenuFilter label="Tenant" name="tenant-id" menu="tenants" />
      <MenuFilter label="Owner" name="owner" menu="owners" />
      <ListFilter {...list} />
    </Filters>
  );
}

/** The parameters of the API that these filters choose; `name` is that of the page's own list. */
export function useSubjectParams(name: string): Params {
  const { list, text, page } = useSearch();
  return {
    search: text('search') || undefined,
    'tenant-id': list('tenant-id'),
    owner: list('owner'),
    [name]: list(name),
    ...pageParams(page),
  };
}
