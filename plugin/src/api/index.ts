export type * from './answers';
export { Client } from './client';
export { Failure, type FailureKind } from './failure';
export type { Params } from './transport';
