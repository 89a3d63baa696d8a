import { connectionLabel } from '../../src/core/connection.ts';
import { INCIDENT_CONNECTIONS } from '../../src/core/issuer-incident.ts';
import type { EscrowEntry, PendingConsent } from '../../src/core/ports.ts';
import { DEFAULT_PROTOCOL_SETTINGS } from '../../src/core/settings.ts';
import type { CredentialRow } from '../support/memory-tables.ts';
import { contradiction, fold, NOTHING_TOLD, type Told } from './fold.ts';
import type { Answered, Grant, Issued } from './provider.ts';
import type { Life, World } from './world.ts';

/** One refresh token on the wire. */
export type Presentation = {
  token: string;
  life: Life;
  attempt_id: string;
  generation: bigint;
  /** The request may still reach the server. */
  under_way: boolean;
  /** The process still waits for the reply. */
  listening: boolean;
  /** Sent under rule 15d: its owner was unseen for long, and the access token had ended. */
  last_resort: boolean;
};

/** What protocol.md §4 says cannot be guaranteed, as far as it can happen here. */
export const EXCEPTIONS = {
  'reply never arrived': '4.1: rotated, and the reply was lost, or the process ended before it came',
  'reply unreadable': '4.1: rotated, and the answer did not hold the tokens',
  'died before the escrow': '4.1: rotated, and the process ended before its escrow was written',
  'owner gone': '4.2: the new token lay on the disk of a replica that was away for longer than owner_wait',
  'only copy destroyed': '4.3: the disk that held the only copy is gone, or never took it',
  'grace window passed': '4.5: the previous token was not honoured for long enough',
  'too few to compare': 'the server refused a grant that it honours, and fewer than three connections were left',
  'ended with another grant': '4.6: the server ended every grant with the one that was revoked',
} as const;
export type Exception = keyof typeof EXCEPTIONS;

const OWNER_WAIT_MS = DEFAULT_PROTOCOL_SETTINGS.owner_wait;

type Consent = { label: string; incarnation: string; consent_seq: bigint };

const refreshOf = (row: CredentialRow | undefined): string | null =>
  row?.refresh_token ? Buffer.from(row.refresh_token).toString() : null;

/**
 * Sees everything at once, as nobody in the product can, and judges each step by the invariants of protocol.md: I1 no
 * live credential that reached us is lost, I2 presentations, I3 late answers, I4 state and events.
 */
export function createLedger(world: World) {
  const consents = new Map<string, Consent>();
  const presentations: Presentation[] = [];
  const seen = new Map<string, CredentialRow>();
  const told = new Map<string, Told>();
  /** Grants that our own presentation ended although a live successor had reached us, and by what right. */
  const sacrificed = new Map<Grant, Exception>();
  let lastSequence = 0n;
  let lastSize = -1;
  let lastTables: object | undefined;

  const rows = () => world.memory.tables.credentials;
  const consentOf = (grant: Grant) => consents.get(grant.state);
  const rowOf = (grant: Grant) => rows().get(consentOf(grant)?.label ?? '');
  const honours = (token: string) => world.provider.honours(token, world.scheduler.now);

  /** Who holds this token now: `row`, or the names of hosts with it on disk or in the memory of their process. */
  function holders(token: string): { place: 'row' | 'disk' | 'memory'; host: string }[] {
    const found: ReturnType<typeof holders> = [];
    for (const row of rows().values()) if (refreshOf(row) === token) found.push({ place: 'row', host: '' });
    for (const host of world.hosts) {
      const entries = [...host.disk.values()];
      if (entries.some(({ reply }) => world.provider.contentsOf(reply)?.refresh === token)) {
        found.push({ place: 'disk', host: host.name });
      }
      if (host.life?.alive && host.life.received.has(token)) found.push({ place: 'memory', host: host.name });
    }
    return found;
  }

  /** Nobody has disconnected, deleted or outdone this consent. */
  function owed(grant: Grant): boolean {
    const consent = consentOf(grant);
    const row = rowOf(grant)?.credential;
    if (!consent || !row || row.incarnation !== consent.incarnation) return false;
    return row.consent_seq <= consent.consent_seq;
  }

  function checkPresentation(now: Presentation, issued: Issued): void {
    const { token, life } = now;
    const { grant } = issued;
    const other = presentations.find((one) => {
      const waits = one.under_way || (one.listening && one.life.alive);
      // A last resort may be overtaken by the owner that comes back: its successor is then presented in its turn.
      // So may, at a server that does not rotate, a repetition whose row was settled by the answer to the attempt that it
      // repeats: the same token is then due again, which does no harm (rule 15 c; one in 2,500 schedules). Nothing else may.
      const repeats = presentations.some(
        ({ token: same, generation, attempt_id }) =>
          same === one.token && generation === one.generation && attempt_id !== one.attempt_id,
      );
      const settled = world.plan.rotation === 'static' && one.generation < now.generation && repeats;
      const overtaken = settled || (one.last_resort && one.token !== token);
      return waits && !overtaken && world.provider.byRefresh(one.token)?.grant === grant;
    });
    if (other) {
      world.violate(
        `I2: ${life.name} presents ${token} while ${other.life.name} waits for the answer to ${other.token}`,
      );
    }
    const successors = grant.issued.filter(({ index, refresh }) => index > issued.index && refresh !== token);
    for (const { refresh } of successors) {
      const [holder] = holders(refresh);
      if (!holder || now.last_resort) continue;
      world.violate(
        `I2: ${life.name} presents ${token}, whose successor ${refresh} lies in ${holder.place} ${holder.host}`,
      );
    }
    const events = [...world.memory.tables.events.values()].map(({ event }) => event);
    for (const one of presentations) {
      if (one.token !== token || one.generation !== now.generation) continue;
      const recorded = events.some(
        ({ event_type, detail }) => event_type.startsWith('refresh_failed_') && detail.attempt_id === one.attempt_id,
      );
      if (!recorded) {
        world.violate(`I2: ${life.name} repeats ${token}, and no event tells of the attempt ${one.attempt_id} before`);
      }
    }
  }

  function presented(life: Life, token: string): Presentation {
    const issued = world.provider.byRefresh(token);
    const label = (issued && consentOf(issued.grant)?.label) ?? '';
    const claim = life.claims.get(label);
    const { view, now } = life.views.get(label) ?? {};
    const intent = view?.credential.intent;
    const expiry = view?.credential.token?.expires_at ?? null;
    const owner = view?.intent_owner;
    const stranger = intent !== null && intent?.replica_id !== life.host.name;
    const unseen = owner?.last_seen_age_ms ?? 0;
    // Who has drained a later boot holds nothing any more, and needs no last resort.
    const drained = (owner?.drained_boot ?? -1n) > (intent?.boot_id ?? 0n);
    const gone = stranger && !drained && unseen >= OWNER_WAIT_MS && (expiry === null || expiry <= (now ?? 0));
    // Whoever gave the owner up goes on at the same generation, as when the request did not arrive.
    const before = presentations.some(
      (one) => one.last_resort && one.token === token && one.generation === claim?.generation,
    );
    const presentation: Presentation = {
      token,
      life,
      attempt_id: claim?.attempt_id ?? 'unclaimed',
      generation: claim?.generation ?? 0n,
      under_way: true,
      listening: true,
      last_resort: gone || before,
    };
    if (!issued || !claim) world.violate(`${life.name} presents ${token} without a claim`);
    else checkPresentation(presentation, issued);
    presentations.push(presentation);
    world.tell(`${life.name} PRESENTS ${token}${presentation.last_resort ? ' as a last resort' : ''}`);
    return presentation;
  }

  /** A presentation that ends a grant of which a live token had reached us. */
  function processing(presentation: Presentation, process: () => Answered): Answered {
    const grant = world.provider.byRefresh(presentation.token)?.grant;
    const live = grant?.honoured.filter((token) => honours(token) && holders(token).length > 0) ?? [];
    const ended = grant?.ended ?? null;
    const answered = process();
    if (grant && grant.ended === 'reuse' && ended === null && live.length > 0 && owed(grant)) {
      if (presentation.last_resort) sacrificed.set(grant, 'owner gone');
      else {
        const [token = ''] = live;
        const [holder] = holders(token);
        world.violate(
          `I1: ${presentation.life.name} presented ${presentation.token}, and the server ended the grant whose live token ${token} lies in ${holder?.place} ${holder?.host}`,
        );
      }
    }
    return answered;
  }

  function revoking(life: Life, token: string): void {
    const { provider } = world;
    const grant = (provider.byRefresh(token) ?? provider.byAccess(token))?.grant;
    const row = grant && rowOf(grant);
    const held = grant && refreshOf(row);
    const same = held && provider.byRefresh(held)?.grant === grant && row?.credential.state === 'connected';
    if (same) world.violate(`I1: ${life.name} revokes ${token}, whose grant is connected (rule 20)`);
  }

  /** What a person, or a confirmed successor, takes out of the escrow is nobody's loss. */
  function cleared(life: Life, { reply, attempt_id }: EscrowEntry): void {
    const issued = world.provider.contentsOf(reply);
    if (!issued) return;
    life.received.delete(issued.refresh);
    if (!honours(issued.refresh) || !owed(issued.grant)) return;
    const kept = holders(issued.refresh).length > 0 || issued.grant.honoured.some((token) => holders(token).length > 0);
    if (!kept) {
      world.violate(`I1: ${life.name} clears the escrow ${attempt_id}, the last copy of the live ${issued.refresh}`);
    }
  }

  /** A refusal that no other connection could be compared with. */
  function tooFew(token: string): boolean {
    const left = [...rows().values()].filter(({ refresh_token }) => refresh_token !== null).length;
    const grant = world.provider.byRefresh(token)?.grant;
    if (!grant || left + 1 >= INCIDENT_CONNECTIONS || !world.provider.refuses(world.scheduler.now)) return false;
    sacrificed.set(grant, 'too few to compare');
    return true;
  }

  /** I3: what a change of the row may bring. */
  function checkChange(label: string, old: CredentialRow | undefined, row: CredentialRow): void {
    const before = refreshOf(old);
    const after = refreshOf(row);
    const { credential } = row;
    const same = old?.credential.incarnation === credential.incarnation;
    if (same && credential.consent_seq < old.credential.consent_seq)
      world.violate(`I3: ${label} steps back to an older consent`);
    if (same && before !== after && credential.generation <= old.credential.generation) {
      world.violate(`I3: ${label} changes its token under an old generation`);
    }
    if (after === null || (same && before === after)) {
      const lives = before !== null && after === null && same && credential.revocation?.decided_by !== 'person';
      if (lives && honours(before) && !tooFew(before))
        world.violate(`I1: ${label} gives up ${before}, which the server still honours`);
      return;
    }
    const issued = world.provider.byRefresh(after);
    const consent = issued && consentOf(issued.grant);
    if (!consent || consent.label !== label || consent.incarnation !== credential.incarnation) {
      world.violate(`I3: ${after} crosses into another connection, ${label} ${credential.incarnation}`);
    } else if (consent.consent_seq !== credential.consent_seq) {
      world.violate(
        `I3: ${after} of consent ${consent.consent_seq} lands in ${label} after consent ${credential.consent_seq}`,
      );
    }
    const earlier = same && before !== null ? world.provider.byRefresh(before) : undefined;
    if (issued && earlier?.grant === issued.grant && earlier.index > issued.index) {
      world.violate(`I3: ${after} overwrites the newer ${before}`);
    }
  }

  /** I4: each new event, in order, then each row against what has been told of it. */
  function observe(): void {
    const { tables } = world.memory;
    if (tables !== lastTables || tables.events.size !== lastSize) {
      for (const { event, sequence } of tables.events.values()) {
        if (sequence <= lastSequence) continue;
        lastSequence = sequence;
        const label = connectionLabel({ kind: event.connection_kind, name: event.connection_name });
        told.set(label, fold(told.get(label) ?? NOTHING_TOLD, event));
        world.tell(`  event ${label} ${event.event_type} ${JSON.stringify(event.detail)}`);
      }
      lastTables = tables;
      lastSize = tables.events.size;
    }
    for (const label of seen.keys()) {
      if (tables.credentials.has(label)) continue;
      seen.delete(label);
      world.tell(`  ${label} is deleted`);
    }
    for (const [label, row] of tables.credentials) {
      const old = seen.get(label);
      if (old === row) continue;
      seen.set(label, row);
      // A successor of the same name begins with an empty page, whatever became of its predecessor.
      if (old?.credential.incarnation !== row.credential.incarnation) told.set(label, NOTHING_TOLD);
      checkChange(label, old, row);
      const wrong = contradiction(told.get(label) ?? NOTHING_TOLD, row.credential);
      if (wrong) world.violate(`I4: ${label}: ${wrong}`);
      const { state, generation, intent } = row.credential;
      world.tell(
        `  ${label} ${state} ${refreshOf(row) ?? '-'} generation ${generation}${intent ? ` intent ${intent.attempt_id.slice(0, 4)}` : ''}`,
      );
    }
  }

  /** Whether the history of this connection says aloud that the outcome of a rotation was lost. */
  function announced(label: string): boolean {
    return [...world.memory.tables.events.values()].some(
      ({ event }) =>
        connectionLabel({ kind: event.connection_kind, name: event.connection_name }) === label &&
        event.event_type === 'token_deleted_revoked' &&
        event.detail.reason === 'rotation_outcome_lost',
    );
  }

  return {
    announced,
    presentations,
    sacrificed,
    consentOf,
    rowOf,
    refreshOf,
    holders,
    owed,
    presented,
    processing,
    revoking,
    cleared,
    observe,
    consumed(state: string, { key, incarnation }: PendingConsent, consent_seq: bigint) {
      consents.set(state, { label: connectionLabel(key), incarnation, consent_seq });
    },
    received(life: Life, issued: Issued) {
      life.received.add(issued.refresh);
    },
    escrowed({ reply }: EscrowEntry) {
      const issued = world.provider.contentsOf(reply);
      if (issued) issued.fate = 'escrowed';
    },
  };
}

export type Ledger = ReturnType<typeof createLedger>;
