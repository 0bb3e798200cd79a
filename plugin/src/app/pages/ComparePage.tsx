import { EmptyState, Stack } from '@grafana/ui';
import { Filters, MenuChoice, MenuFilter, RangeFilter } from '../components/Filters';
import { withSource } from '../components/WithSource';
import { useRange, useSearch } from '../state/useSearch';
import { ComparisonView } from './compare/ComparisonView';

export const ComparePage = withSource(Compare);

function Compare() {
  const { text, list } = useSearch();
  const range = useRange('6h');
  const compared = {
    model: text('model-name'),
    tenants: list('tenant-id'),
    baseline: text('baseline'),
    candidate: text('candidate'),
  };
  const ofModel = { 'model-name': compared.model || undefined };
  return (
    <Stack direction="column" gap={2}>
      <Filters>
        <MenuChoice
          label="Model"
          name="model-name"
          menu="models"
          dependents={['tenant-id', 'baseline', 'candidate']}
        />
        <MenuFilter
          label="Tenants"
          name="tenant-id"
          menu="tenants"
          params={ofModel}
          placeholder="All that you may see"
        />
        <MenuChoice label="Baseline" name="baseline" menu="versions" params={ofModel} />
        <MenuChoice label="Candidate" name="candidate" menu="versions" params={ofModel} />
        <RangeFilter chosen={range} />
      </Filters>
      {compared.model && compared.baseline && compared.candidate ? (
        <ComparisonView compared={compared} range={range} />
      ) : (
        <EmptyState
          variant="call-to-action"
          message="Choose a model, the version that runs, and the one that is judged"
        >
          The time range must begin before the candidate&apos;s first call, and stay there while you look
          again.
        </EmptyState>
      )}
    </Stack>
  );
}
