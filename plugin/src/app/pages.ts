/** The pages of the app, in the order of the menu. plugin.json names them, too; a test holds both together. */
import type { ComponentType } from 'react';
import { ConfigurationPage } from './pages/ConfigurationPage';
import { IncidentPage } from './pages/IncidentPage';
import { IncidentsPage } from './pages/IncidentsPage';
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
    path: 'configuration',
    title: 'Configuration',
    subTitle: 'The backend behind the data source, who you are to it, and what you may see',
    component: ConfigurationPage,
  },
];
