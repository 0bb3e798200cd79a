import { CustomVariableSupport, type DataQueryRequest, type DataQueryResponse } from '@grafana/data';
import { type Observable, map } from 'rxjs';
import type { DataSource } from './DataSource';
import { VariableEditor } from './editor/VariableEditor';
import { type MenuQuery, completedMenu } from './query';

/** Variables of boards: a menu, which other variables may narrow. */
export class Variables extends CustomVariableSupport<DataSource, MenuQuery> {
  override editor = VariableEditor;

  constructor(private readonly datasource: DataSource) {
    super();
  }

  override query({ targets, range, scopedVars }: DataQueryRequest<MenuQuery>): Observable<DataQueryResponse> {
    return this.datasource
      .menu(completedMenu(targets[0]), { range, scopedVars })
      .pipe(map((values) => ({ data: values.map((text) => ({ text })) })));
  }
}
