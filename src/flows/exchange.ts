import type { ConnectionKey } from '../core/connection.ts';
import type { ClientBinding } from '../core/credential.ts';
import type { EscrowEntry } from '../core/ports.ts';
import type { Secret } from '../core/redact.ts';
import type { TokenReply } from '../core/token-response.ts';
import type { ReplyKeeper } from './escrow.ts';
import { type ListeningDeps, withinDeadline } from './listening.ts';
import type { SettleDeps, Settled } from './settle.ts';

export type ExchangeDeps = SettleDeps &
  ListeningDeps & { keeper: ReplyKeeper; self: { replica_id: string; boot_id: bigint } };

/** Who asks for the first token of a connection, and under which number it outranks what was begun before (rule 3). */
export type Exchange = {
  key: ConnectionKey;
  incarnation: string;
  binding: ClientBinding;
  client_secret: Secret | null;
  actor: string;
  consent_seq: bigint;
  origin_of_trust: string;
};

/**
 * Obtains the first token of a connection. Waits at most the deadline; a reply that comes later is escrowed and stored
 * all the same (rule 9).
 * @param ended called when the answer has been dealt with, however late
 */
export async function exchange(
  deps: ExchangeDeps,
  { key, incarnation, binding, client_secret, actor, consent_seq, origin_of_trust }: Exchange,
  send: () => Promise<TokenReply>,
  ended: () => Promise<void> = async () => undefined,
): Promise<Settled | 'late' | undefined> {
  const { clock, random } = deps;
  const credential = await deps.credentials.read(key);
  const sent_at = clock.now();
  const attempt_id = random.uuid();
  const entryOf = (reply: TokenReply): EscrowEntry => ({
    attempt_id,
    purpose: 'connect',
    key,
    incarnation,
    parent_generation: credential?.generation ?? 0n,
    consent_seq,
    ...deps.self,
    reply,
    sent_at,
    received_at: clock.now(),
    actor,
    binding,
    client_secret,
    origin_of_trust,
    presented_refresh_token: null,
    ambiguous_before: false,
    before: { expires_at: null, refresh_expires_at: null, refresh_token_fingerprint: null },
    reason: 'connect',
  });
  const handled = send()
    .then((reply) => deps.keeper.keep(entryOf(reply)))
    .finally(ended);
  return withinDeadline(deps, attempt_id, handled);
}
