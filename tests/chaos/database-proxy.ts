import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Whether a statement is meant; `transaction` is what its session sent since it began the present transaction. */
export type Statement = (text: string, transaction: readonly string[]) => boolean;

/** The claim of an attempt: nothing is sent to the provider before it is answered. */
export const CLAIM: Statement = (text) =>
  /^with wanted .* update connection_credentials as held set\s+intent_attempt_id = .* returning/s.test(text);

/** The commit of a transaction that brings new tokens. */
export const NEW_TOKENS: Statement = (text, transaction) =>
  text === 'commit' &&
  transaction.some((earlier) => /^update connection_credentials as old set .*"access_token" = /s.test(earlier));

export type Trap = {
  arrived(): boolean;
  /** Lets pass what was held; a session that has ended meanwhile stays ended. */
  release(): void;
};

export type DatabaseProxy = {
  url: string;
  /** How many statements of this sort went by. */
  count(statement: Statement): number;
  /** When the latest of them went by. */
  lastAt(statement: Statement): number;
  /** Holds the next such statement before the server has seen it, or the server's answers from it on. */
  trap(statement: Statement, place: 'request' | 'reply'): Trap;
  /** Every session is reset, and new ones are refused, until `restore`. */
  cut(): void;
  /** Nothing passes in either direction, and nobody is told, until `restore`. */
  hang(): void;
  restore(): void;
  close(): void;
};

type Armed = { statement: Statement; place: 'request' | 'reply'; hit(session: Session): void };

/** What flows one way; while it is shut, it is kept. */
class Gate {
  readonly #to: Socket;
  #kept: Buffer[] = [];
  #shut = 0;

  constructor(to: Socket) {
    this.#to = to;
  }

  pass(data: Buffer): void {
    if (this.#shut > 0) this.#kept.push(data);
    else if (!this.#to.destroyed) this.#to.write(data);
  }

  shut(): void {
    this.#shut += 1;
  }

  open(): void {
    this.#shut -= 1;
    if (this.#shut > 0) return;
    for (const data of this.#kept.splice(0)) if (!this.#to.destroyed) this.#to.write(data);
  }
}

type Session = {
  client: Socket;
  server: Socket;
  up: Gate;
  down: Gate;
  transaction: string[];
  pending: Buffer;
  greeted: boolean;
};

const TYPE_QUERY = 'Q'.charCodeAt(0);
const TYPE_PARSE = 'P'.charCodeAt(0);

/** The text of a Query or a Parse message; undefined for any other. */
function statementOf(message: Buffer): string | undefined {
  if (message[0] === TYPE_QUERY) return message.toString('utf8', 5, message.length - 1);
  if (message[0] !== TYPE_PARSE) return undefined;
  const start = message.indexOf(0, 5) + 1;
  return message.toString('utf8', start, message.indexOf(0, start));
}

/**
 * Stands before a PostgreSQL and knows its protocol well enough to act on a statement.
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const target = new URL(databaseUrl);
  const sessions = new Set<Session>();
  const seen: { text: string; transaction: string[]; at: number }[] = [];
  const matching = (statement: Statement) => seen.filter(({ text, transaction }) => statement(text, transaction));
  let armed: Armed | undefined;
  let refusing = false;
  let hanging = false;

  function frontend(session: Session, message: Buffer): void {
    const text = statementOf(message)?.trim();
    if (text === undefined) {
      session.up.pass(message);
      return;
    }
    if (/^(?:start transaction|begin)/i.test(text)) session.transaction = [];
    seen.push({ text, transaction: [...session.transaction], at: Date.now() });
    const trap = armed?.statement(text, session.transaction) ? armed : undefined;
    session.transaction.push(text);
    if (trap) {
      armed = undefined;
      trap.hit(session);
    }
    session.up.pass(message);
  }

  function fromClient(session: Session, data: Buffer): void {
    session.pending = Buffer.concat([session.pending, data]);
    for (;;) {
      // Only the first message of a session has no type.
      const head = session.greeted ? 1 : 0;
      if (session.pending.length < head + 4) return;
      const length = head + session.pending.readInt32BE(head);
      if (session.pending.length < length) return;
      const message = session.pending.subarray(0, length);
      session.pending = session.pending.subarray(length);
      if (session.greeted) frontend(session, message);
      else session.up.pass(message);
      session.greeted = true;
    }
  }

  const listener = createServer((client) => {
    if (refusing) return client.resetAndDestroy();
    const server = connect(Number(target.port), target.hostname);
    const up = new Gate(server);
    const down = new Gate(client);
    const session: Session = { client, server, up, down, transaction: [], pending: Buffer.alloc(0), greeted: false };
    sessions.add(session);
    if (hanging) for (const gate of [up, down]) gate.shut();
    const end = () => {
      sessions.delete(session);
      client.destroy();
      server.destroy();
    };
    client.on('data', (data: Buffer) => fromClient(session, data));
    server.on('data', (data: Buffer) => down.pass(data));
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const own = new URL(databaseUrl);
  own.port = String((listener.address() as AddressInfo).port);

  function reset(): void {
    for (const { client, server } of sessions) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  return {
    url: own.href,
    count: (statement) => matching(statement).length,
    lastAt: (statement) => matching(statement).at(-1)?.at ?? 0,
    trap(statement, place) {
      let held: Gate | undefined;
      const hit = (session: Session) => {
        held = place === 'request' ? session.up : session.down;
        held.shut();
      };
      armed = { statement, place, hit };
      return {
        arrived: () => held !== undefined,
        release: () => {
          held?.open();
          held = undefined;
        },
      };
    },
    cut() {
      refusing = true;
      reset();
    },
    hang() {
      hanging = true;
      for (const { up, down } of sessions) for (const gate of [up, down]) gate.shut();
    },
    restore() {
      refusing = false;
      if (hanging) for (const { up, down } of sessions) for (const gate of [up, down]) gate.open();
      hanging = false;
    },
    close() {
      listener.close();
      reset();
    },
  };
}
