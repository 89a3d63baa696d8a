import type { Clock, Random } from '../core/ports.ts';
import type { SecretBox } from './secret-box.ts';

/** What every write of a token needs beside the transaction. */
export type SettlementTools = { clock: Clock; random: Random; box: SecretBox };
