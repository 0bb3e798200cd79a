import { Stack } from '@grafana/ui';
import { Filters, ListChoice, ListFilter, MenuFilter, RangeFilter } from '../components/Filters';
import { withSource } from '../components/WithSource';
import { GROUPS, IDLE_POLICIES } from '../data/costs';
import { useRange, useSearch } from '../state/useSearch';
import { AllocationTable, Downloads, Totals } from './cost/Allocation';
import { ForecastTable } from './cost/Forecast';

export const CostPage = withSource(Cost);

function Cost() {
  const { text, list } = useSearch();
  const range = useRange('7d');
  const groups = list('group-by');
  const selection = {
    'tenant-id': list('tenant-id'),
    'model-name': list('model-name'),
    idle: text('idle') || undefined,
    ...range.params,
  };
  const by = groups.length ? groups : ['tenant', 'model'];
  return (
    <Stack direction="column" gap={3}>
      <Filters>
        <MenuFilter label="Tenant" name="tenant-id" menu="tenants" />
        <MenuFilter
          label="Model"
          name="model-name"
          menu="models"
          params={{ 'tenant-id': list('tenant-id') }}
        />
        <ListFilter label="Group by" name="group-by" options={GROUPS} placeholder="Tenant, model" />
        <ListChoice label="Who pays for idle time" name="idle" options={IDLE_POLICIES} initial="" />
        <RangeFilter chosen={range} />
      </Filters>
      <Totals selection={selection} />
      <AllocationTable selection={selection} by={by} />
      <Downloads selection={selection} by={by} />
      <ForecastTable tenants={list('tenant-id')} />
    </Stack>
  );
}
