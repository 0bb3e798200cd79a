/** What a page can be narrowed by; each choice stands in its address. */
import { type SelectableValue } from '@grafana/data';
import {
  AsyncMultiSelect,
  AsyncSelect,
  Button,
  Field,
  Icon,
  Input,
  MultiSelect,
  Select,
  Stack,
  TimeRangeInput,
} from '@grafana/ui';
import { type ReactNode, useEffect, useState } from 'react';
import { firstValueFrom } from 'rxjs';
import type { Params } from '../../api';
import { useConnection } from '../state/connection';
import { type ChosenRange, useSearch } from '../state/useSearch';

const SEARCH_PAUSE = 300;
const MENU_LIMIT = 100;

export function Filters({ children, again }: { children: ReactNode; again?: () => void }) {
  return (
    <Stack wrap="wrap" alignItems="flex-end" gap={1}>
      {children}
      {again && (
        <Field label="">
          <Button variant="secondary" icon="sync" onClick={again} aria-label="Refresh">
            Refresh
          </Button>
        </Field>
      )}
    </Stack>
  );
}

/** A text that is searched on the server, a moment after the last key. */
export function SearchFilter({ placeholder }: { placeholder: string }) {
  const { text, change } = useSearch();
  const chosen = text('search');
  const [typed, setTyped] = useState(chosen);
  useEffect(() => {
    const timer = setTimeout(() => typed !== chosen && change({ search: typed }), SEARCH_PAUSE);
    return () => clearTimeout(timer);
    // Only what is typed starts a search, not what the address says.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [typed]);
  return (
    <Field label="Search" htmlFor="search">
      <Input
        id="search"
        width={30}
        prefix={<Icon name="search" />}
        placeholder={placeholder}
        value={typed}
        maxLength={1000}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
    </Field>
  );
}

interface MenuProps {
  label: string;
  /** The parameter of the address. */
  name: string;
  /** The menu of the API. */
  menu: string;
  /** What narrows the menu. */
  params?: Params;
  placeholder?: string;
}

/** Several values of a menu, which is searched on the server. */
export function MenuFilter({ label, name, menu, params, placeholder = 'All' }: MenuProps) {
  const { list, change } = useSearch();
  const load = useMenu(menu, params);
  return (
    <Field label={label} htmlFor={name}>
      <AsyncMultiSelect
        key={JSON.stringify(params)}
        inputId={name}
        width={22}
        placeholder={placeholder}
        defaultOptions
        allowCustomValue
        loadOptions={load}
        value={list(name).map(optionOf)}
        onChange={(chosen: SelectableValue<string>[]) => change({ [name]: chosen.map(valueOf) })}
      />
    </Field>
  );
}

/** One value of a menu; what depends on it is given up with it. */
export function MenuChoice(props: MenuProps & { dependents?: readonly string[] }) {
  const { label, name, menu, params, placeholder = 'Choose', dependents = [] } = props;
  const { text, change } = useSearch();
  const load = useMenu(menu, params);
  const chosen = text(name);
  const cleared = Object.fromEntries(dependents.map((dependent) => [dependent, undefined]));
  return (
    <Field label={label} htmlFor={name}>
      <AsyncSelect
        key={JSON.stringify(params)}
        inputId={name}
        width={22}
        placeholder={placeholder}
        defaultOptions
        allowCustomValue
        isClearable
        loadOptions={load}
        value={chosen ? optionOf(chosen) : null}
        onChange={(option: SelectableValue<string> | null) =>
          change({ ...cleared, [name]: option ? valueOf(option) : undefined })
        }
      />
    </Field>
  );
}

interface ListProps {
  label: string;
  name: string;
  options: ReadonlyArray<{ value: string; label: string }>;
}

export function ListFilter({
  label,
  name,
  options,
  placeholder = 'All',
}: ListProps & { placeholder?: string }) {
  const { list, change } = useSearch();
  return (
    <Field label={label} htmlFor={name}>
      <MultiSelect
        inputId={name}
        width={22}
        placeholder={placeholder}
        options={[...options]}
        value={list(name)}
        onChange={(chosen) => change({ [name]: chosen.map(valueOf) })}
      />
    </Field>
  );
}

export function ListChoice({ label, name, options, initial }: ListProps & { initial: string }) {
  const { text, change } = useSearch();
  return (
    <Field label={label} htmlFor={name}>
      <Select
        inputId={name}
        width={20}
        options={[...options]}
        value={text(name) || initial}
        onChange={(chosen) => change({ [name]: chosen.value === initial ? undefined : chosen.value })}
      />
    </Field>
  );
}

export function RangeFilter({ chosen }: { chosen: ChosenRange }) {
  return (
    <Field label="Time range">
      <TimeRangeInput value={chosen.range} onChange={chosen.choose} />
    </Field>
  );
}

/** Options of a menu. Its failure is an empty menu: the page's own question says what is wrong. */
function useMenu(menu: string, params: Params = {}) {
  const { client } = useConnection();
  return async (search: string): Promise<Array<SelectableValue<string>>> => {
    if (!client) {
      return [];
    }
    const asked = client.menu(menu, { ...params, search: search || undefined, limit: MENU_LIMIT });
    return firstValueFrom(asked).then(
      ({ values }) => values.map(optionOf),
      () => [],
    );
  };
}

const optionOf = (value: string): SelectableValue<string> => ({ value, label: value });
const valueOf = ({ value }: SelectableValue<string>) => value ?? '';
