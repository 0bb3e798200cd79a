/** The pages of the app, in the order of the menu. plugin.json names them, too; a test holds both together. */
import type { ComponentType } from 'react';
import { ComparePage } from './pages/ComparePage';
import { ConfigurationPage } from './pages/ConfigurationPage';
import { CostPage } from './pages/CostPage';
import { DriftPage } from './pages/DriftPage';
import { IncidentPage } from './pages/IncidentPage';
import { IncidentsPage } from './pages/IncidentsPage';
import { RegistryPage } from './pages/RegistryPage';
import { TriagePage } from './pages/TriagePage';

export interface Page {
  /** Path below the app's; it may have parameters of react-router after the first segment. */
  path: string;
  title: string;
  subTitle: string;
  component: ComponentType;
}

export const PAGES: readonly [Page, ...Page[]] = [
  {
    path: 'triage',
    title: 'Triage',
    subTitle: 'Models and tenants that need attention, the worst first',
    component: TriagePage,
  },
  {
    path: 'incidents',
    title: 'Incidents',
    subTitle: 'Alerts of a model and tenant that belong together',
    component: IncidentsPage,
  },
  {
    path: 'incidents/:id',
    title: 'Incident',
    subTitle: 'Its alerts, what changed around it, and who looks after it',
    component: IncidentPage,
  },
  {
    path: 'compare',
    title: 'Compare',
    subTitle: 'Whether a version is better or worse than the one that runs, as far as the calls can tell',
    component: ComparePage,
  },
  {
    path: 'drift',
    title: 'Drift',
    subTitle: 'Signals of models, the one farthest beyond its own limit first',
    component: DriftPage,
  },
  {
    path: 'cost',
    title: 'Cost',
    subTitle: 'What tenants, models and versions cost, with nothing counted twice or lost',
    component: CostPage,
  },
  {
    path: 'registry',
    title: 'Registry',
    subTitle: 'Versions that are declared, seen, or both',
    component: RegistryPage,
  },
  {
    path: 'configuration',
    title: 'Configuration',
    subTitle: 'The backend behind the data source, who you are to it, and what you may see',
    component: ConfigurationPage,
  },
];
