import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { CONNECTION_KIND, checkSharedConfig, sharedConfigShape } from './core/connection.ts';
import { AppError } from './core/errors.ts';
import type { Toolkit } from './core/ports.ts';
import { RpcError } from './core/rpc-error.ts';
import { createAuthorizedFetch } from './toolkits/authorized-fetch.ts';

/** What a toolkit is built with. A module receives it, so that a file beside the configuration needs no installation. */
export const TOOLKIT_KIT = { z, sharedConfigShape, checkSharedConfig, createAuthorizedFetch, AppError, RpcError };
export type ToolkitKit = typeof TOOLKIT_KIT;

/** The default export of a toolkit module. */
export type ToolkitModule = (kit: ToolkitKit) => Toolkit | readonly Toolkit[] | Promise<Toolkit | readonly Toolkit[]>;

type Loose = { [Key in keyof Toolkit]?: unknown };

function faultOf(toolkit: unknown): string | undefined {
  if (typeof toolkit !== 'object' || toolkit === null) return 'is not a toolkit, which is an object';
  const { kind, configSchema, connect, shared } = toolkit as Loose;
  if (typeof kind !== 'string' || !CONNECTION_KIND.test(kind)) {
    return 'needs a kind: 1 to 31 lower-case letters, digits and hyphens, beginning with a letter';
  }
  if (typeof (configSchema as { safeParse?: unknown } | undefined)?.safeParse !== 'function') {
    return `(${kind}) needs a configSchema, which is a schema of zod`;
  }
  if (typeof connect !== 'function') return `(${kind}) needs a function connect`;
  if (shared !== undefined && typeof (shared as { argument?: unknown } | null)?.argument !== 'string') {
    return `(${kind}) has shared without the name of its argument`;
  }
  return undefined;
}

/**
 * Those toolkits, each kind once.
 * @param where what a message calls the place that they come from
 * @throws AppError invalid_config
 */
export function withToolkits(known: readonly Toolkit[], added: readonly unknown[], where: string): Toolkit[] {
  const kits = [...known];
  for (const toolkit of added) {
    const fault = faultOf(toolkit);
    if (fault !== undefined) throw new AppError('invalid_config', `${where} ${fault}: see docs/toolkits.md.`);
    const { kind } = toolkit as Toolkit;
    if (kits.some((one) => one.kind === kind)) {
      throw new AppError(
        'invalid_config',
        `${where} brings the kind ${kind}, which there is already. Give it another one.`,
      );
    }
    kits.push(toolkit as Toolkit);
  }
  return kits;
}

async function load(path: string, where: string): Promise<readonly unknown[]> {
  let made: unknown;
  try {
    const { default: module } = (await import(pathToFileURL(path).href)) as { default?: unknown };
    if (typeof module !== 'function') {
      throw new AppError('invalid_config', `${where} has no default export that is a function: see docs/toolkits.md.`);
    }
    made = await (module as (kit: ToolkitKit) => unknown)(TOOLKIT_KIT);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : 'it threw what is no error';
    throw new AppError(
      'invalid_config',
      `${where} cannot be loaded (${why}). Correct the module, or take its path out of toolkits.`,
      { cause },
    );
  }
  return Array.isArray(made) ? (made as readonly unknown[]) : [made];
}

/**
 * Adds the toolkits of the modules that a configuration file names, in its order. They run in this process with all
 * its rights, and so only that file can name them.
 * @param file the configuration file, whose folder a relative path begins at; null: the working directory
 * @throws AppError invalid_config naming the module and what is wrong with it
 */
export async function loadToolkits(
  known: readonly Toolkit[],
  modules: readonly string[],
  file: string | null,
): Promise<Toolkit[]> {
  let kits = [...known];
  for (const [index, path] of modules.entries()) {
    const where = `The setting toolkits.${index} (${path})`;
    const added = await load(resolve(file === null ? '.' : dirname(file), path), where);
    kits = withToolkits(kits, added, where);
  }
  return kits;
}
