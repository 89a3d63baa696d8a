/** One trace of `docs/durability.md`: what goes wrong without a rule, and what is promised instead. */
export type Trace = {
  /** The number of the trace; a letter marks another form of it, `rule` one that shows a rule which no trace has. */
  id: string;
  /** The invariant that it breaks; a plus marks an avoidable loss that the letter of I1 exempts. */
  invariant: 'I1' | 'I1+' | 'I2' | 'I3' | 'I4' | 'I5';
  rules: readonly number[];
  /** What happens, and what the system does then. */
  title: string;
};

/** What must hold, in the words of `docs/durability.md`. */
export const INVARIANTS = {
  I1: 'no live credential that reached us is lost',
  I2: 'no token is presented twice, except once per ambiguous attempt',
  I3: 'no late answer overwrites a newer token or brings a deleted one back',
  I4: 'the state is what the history says',
  I5: 'when faults stop, a living grant becomes healthy without a person',
} as const;

export const TRACES = [
  {
    id: '1',
    invariant: 'I2',
    rules: [6],
    title: 'two replicas read the same row, because a lock session died: one of them presents (lesson 2)',
  },
  {
    id: '2',
    invariant: 'I1',
    rules: [14, 15],
    title: 'a replica crashes with the new token in its escrow: others leave the old one alone until it is back',
  },
  {
    id: '3',
    invariant: 'I1',
    rules: [14, 15],
    title: 'a replica loses the database with the new token in its escrow: others leave the old one alone',
  },
  {
    id: '4',
    invariant: 'I1',
    rules: [5],
    title: 'the database comes back to a replica: it replays its escrow before it presents anything',
  },
  {
    id: '5',
    invariant: 'I2',
    rules: [8],
    title: 'a slow provider times out: the attempt stays open, and nothing is presented while it works',
  },
  {
    id: '6',
    invariant: 'I1+',
    rules: [9],
    title: 'the reply comes after the deadline: it was listened for, and is stored',
  },
  {
    id: '6b',
    invariant: 'I2',
    rules: [9],
    title: 'the access token is about to end while the reply may still come: nothing is presented',
  },
  {
    id: '7',
    invariant: 'I2',
    rules: [7],
    title: 'a replica is taken for dead while its request is under way: its lease still holds',
  },
  {
    id: '7b',
    invariant: 'I2',
    rules: [7],
    title: 'a replica stalls between claim and request for longer than its lease: it does not send',
  },
  {
    id: '8',
    invariant: 'I3',
    rules: [1],
    title: 'a reply is settled after Delete, create and Connect: the new connection keeps its own token',
  },
  {
    id: '9',
    invariant: 'I3',
    rules: [1, 13],
    title: 'the same by way of the escrow, after a crash',
  },
  {
    id: '10',
    invariant: 'I3',
    rules: [1],
    title: 'a late invalid_grant after Delete, create and Connect deletes nothing',
  },
  {
    id: '11',
    invariant: 'I3',
    rules: [2],
    title: 'a reply is settled after Disconnect: the token stays deleted',
  },
  {
    id: '11b',
    invariant: 'I3',
    rules: [2, 13],
    title: 'the same by way of the escrow, after a crash',
  },
  {
    id: '12',
    invariant: 'I3',
    rules: [3, 19],
    title: 'a consent is finished after Disconnect: it does not land',
  },
  {
    id: '12b',
    invariant: 'I3',
    rules: [3, 19],
    title: 'a consent is finished after Delete and create: it does not land in the new connection',
  },
  {
    id: '13',
    invariant: 'I1',
    rules: [3, 13, 19],
    title: 'a crashed Connect is replayed while the person connects again: the second Connect lands',
  },
  {
    id: '13b',
    invariant: 'I1',
    rules: [3, 13, 19],
    title: 'a crashed Connect is replayed after the person has connected again: the second one stays',
  },
  {
    id: '14',
    invariant: 'I1',
    rules: [10],
    title: 'a refresh clears its escrow while a Connect lies there: each attempt has a file of its own',
  },
  {
    id: '15',
    invariant: 'I1',
    rules: [11, 20],
    title: 'the acknowledgement of a commit is lost: the token is recognised as its own, and not revoked',
  },
  {
    id: '16',
    invariant: 'I1',
    rules: [20],
    title: 'Connect overtakes a refresh: the late token is not revoked upstream, where that would end the new grant',
  },
  {
    id: '16b',
    invariant: 'I1',
    rules: [20],
    title: 'the same while the consent is not finished yet',
  },
  {
    id: '17',
    invariant: 'I1',
    rules: [11, 13],
    title: 'another replica is refused and gives up: the escrow of the owner that comes back lifts the verdict',
  },
  {
    id: '18',
    invariant: 'I1+',
    rules: [10],
    title: 'a crash before the escrow: nobody had used the new access token, so the old refresh token still works',
  },
  {
    id: '19',
    invariant: 'I1+',
    rules: [12],
    title: 'neither disk nor database takes a reply for a while: it is held in memory until one does',
  },
  {
    id: '20',
    invariant: 'I1+',
    rules: [14],
    title: 'a reply is lost at a provider with a grace window: the token is presented again within the window',
  },
  {
    id: '21',
    invariant: 'I4',
    rules: [18],
    title: 'Connect overtakes an invalid_grant: neither the token nor the history says revoked',
  },
  {
    id: '22',
    invariant: 'I5',
    rules: [15],
    title: 'a replica claims, and is gone for ever: another one takes over after owner_wait',
  },
  {
    id: '23',
    invariant: 'I1',
    rules: [22],
    title: 'a second process starts on the directory of a living owner: it does not serve',
  },
  {
    id: '23b',
    invariant: 'I2',
    rules: [7, 22],
    title: 'a new owner starts while the request of the killed one is under way: it waits out the lease',
  },
  {
    id: 'rule 4',
    invariant: 'I5',
    rules: [4],
    title: 'a replica that is started again is the same one, and resolves its own attempt without owner_wait',
  },
  {
    id: 'rule 16',
    invariant: 'I2',
    rules: [16],
    title: 'a process ends with its request under way: the history tells of it before the token is presented again',
  },
  {
    id: 'rule 17',
    invariant: 'I4',
    rules: [17],
    title: 'a refusal after an attempt without an answer is told as a lost rotation, not as the will of the provider',
  },
  {
    id: 'rule 21',
    invariant: 'I1',
    rules: [21],
    title: 'a server is stopped while a reply is on the way: it ends when the reply is stored',
  },
] as const satisfies readonly Trace[];

export type TraceId = (typeof TRACES)[number]['id'];

export function traceName({ id, title, rules }: Trace): string {
  const label = id.startsWith('rule') ? `${id.slice(0, 1).toUpperCase()}${id.slice(1)}` : `Trace ${id}`;
  return `${label}: ${title}${id.startsWith('rule') ? '' : ` (${ruleNames(rules)})`}`;
}

export function ruleNames(rules: readonly number[]): string {
  return `rule${rules.length > 1 ? 's' : ''} ${rules.join(', ')}`;
}
