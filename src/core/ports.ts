/** Everything that the rooms need of each other, by the side it is needed on: the one list of ports. */
export type * from './call-ports.ts';
export * from './environment.ts';
export type * from './incident-port.ts';
export type * from './metrics-port.ts';
export type * from './oauth-ports.ts';
export type * from './store-ports.ts';
export type { ToolChange, ToolChangeStore } from './tool-change.ts';
export type * from './toolkit.ts';
export type * from './upstream-catalog.ts';
