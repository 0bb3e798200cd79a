/** The pages of the app, in the order of the menu. plugin.json names them, too; a test holds both together. */
import type { ComponentType } from 'react';
import { APP_ID } from '../ids';
import { ConfigurationPage } from './pages/ConfigurationPage';

export interface Page {
  /** Path below the app's; it may have parameters of react-router after the first segment. */
  path: string;
  title: string;
  subTitle: string;
  component: ComponentType;
}

export const PAGES: readonly [Page, ...Page[]] = [
  {
    path: 'configuration',
    title: 'Configuration',
    subTitle: 'The backend behind the data source, who you are to it, and what you may see',
    component: ConfigurationPage,
  },
];

export const urlOf = (path: string) => `/a/${APP_ID}/${path}`;
