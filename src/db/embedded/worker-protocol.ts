import type { SqlRefusal } from '../sql-error.ts';

/** What the main thread asks of the worker. Each request is answered once, in any order, by its `id`. */
export type WorkerRequest =
  | { op: 'initialise'; directory: string; marker: { file: string; text: string } }
  | { op: 'open'; directory: string }
  | { op: 'query'; sql: string; parameters: unknown[] }
  | { op: 'syncs' }
  | { op: 'close' };

export type SyncCounters = { files: number; directories: number };

export type WorkerAnswer = {
  rows?: Record<string, unknown>[];
  affected?: number;
  syncs?: SyncCounters;
};

export type WorkerReply =
  | { id: number; ok: true; answer: WorkerAnswer }
  /** `fatal`: the engine is gone and answers nothing more. */
  | { id: number; ok: false; fatal: boolean; message: string; refusal: SqlRefusal | null };
