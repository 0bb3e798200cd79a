export type * from './answers';
export type * from './pageAnswers';
export { Client } from './client';
export { Failure, type FailureKind } from './failure';
export type { Params } from './transport';
