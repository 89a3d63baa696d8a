import { BlockList, isIP } from 'node:net';

/**
 * What an address may be used for. `forbidden` (link-local, cloud metadata, multicast, reserved) is never reached, even
 * when an operator typed it: nothing that belongs to this product lives there.
 */
export type AddressClass = 'public' | 'private' | 'loopback' | 'forbidden';

type Subnet = readonly [net: string, prefix: number];

function blockList(family: 'ipv4' | 'ipv6', subnets: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family);
  return list;
}

const FORBIDDEN_V4 = blockList('ipv4', [
  ['169.254.0.0', 16], // RFC 3927 link-local, and the metadata service of most clouds
  ['100.100.100.200', 32], // Alibaba Cloud metadata
  ['192.0.0.192', 32], // Oracle Cloud metadata, old form
  ['168.63.129.16', 32], // Azure wire server
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]);
const LOOPBACK_V4 = blockList('ipv4', [
  ['127.0.0.0', 8],
  ['0.0.0.0', 8], // «this host» (RFC 1122 §3.2.1.3): Linux connects 0.0.0.0 to loopback
]);
/** RFC 6890 special-purpose ranges that are not the public internet. */
const PRIVATE_V4 = blockList('ipv4', [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
]);

const FORBIDDEN_V6 = blockList('ipv6', [
  ['fe80::', 10],
  ['fd00:ec2::254', 128], // AWS metadata
  ['fd20:ce::254', 128], // Google Cloud metadata
  ['fd00:c1::a9fe:a9fe', 128], // Oracle Cloud metadata
  ['ff00::', 8],
]);
const PRIVATE_V6 = blockList('ipv6', [
  ['fc00::', 7],
  ['fec0::', 10],
  ['100::', 64],
  ['2001:db8::', 32],
  ['3fff::', 20],
]);

function classifyV4(address: string): AddressClass {
  if (FORBIDDEN_V4.check(address, 'ipv4')) return 'forbidden';
  if (LOOPBACK_V4.check(address, 'ipv4')) return 'loopback';
  return PRIVATE_V4.check(address, 'ipv4') ? 'private' : 'public';
}

/** The eight 16-bit groups of an IPv6 address in any spelling, dotted tail included. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text = dotted
    ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
    : address;
  const [head = '', tail] = text.split('::');
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const left = parse(head);
  if (tail === undefined) return left;
  const right = parse(tail);
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function dottedOf(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

/** The IPv4 address that a transition form carries: what a translator on the way would really reach. */
function embeddedV4(groups: readonly number[]): string | undefined {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  const zero = (...parts: number[]) => parts.every((part) => part === 0);
  if (zero(a, b, c, d, e) && f === 0xffff) return dottedOf(g, h); // ::ffff:0:0/96 mapped
  if (zero(a, b, c, d, f) && e === 0xffff) return dottedOf(g, h); // ::ffff:0:0:0/96 translated (RFC 2765)
  if (zero(a, b, c, d, e, f) && !(g === 0 && h <= 1)) return dottedOf(g, h); // ::/96 compatible
  if (a === 0x64 && b === 0xff9b && (zero(c, d, e, f) || c === 1)) return dottedOf(g, h); // NAT64 (RFC 6052, 8215)
  if (a === 0x2002) return dottedOf(b, c); // 6to4 (RFC 3056)
  if (a === 0x2001 && b === 0) return dottedOf(g ^ 0xffff, h ^ 0xffff); // Teredo (RFC 4380)
  return undefined;
}

function classify(address: string): AddressClass {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  const family = isIP(bare);
  if (family === 4) return classifyV4(bare);
  if (family !== 6) return 'forbidden';
  const groups = groupsOf(bare);
  const embedded = embeddedV4(groups);
  if (embedded !== undefined) return classifyV4(embedded);
  if (FORBIDDEN_V6.check(bare, 'ipv6')) return 'forbidden';
  if (groups.slice(0, 7).every((group) => group === 0)) return 'loopback'; // :: and ::1
  return PRIVATE_V6.check(bare, 'ipv6') ? 'private' : 'public';
}

/** Requests to a literal address ask each time, and a block list costs more than the rest of the question. */
const known = new Map<string, AddressClass>();
const MOST_KNOWN = 1_000;

/** @param address an IP address as a resolver or a URL gives it; brackets and a zone id are tolerated. */
export function classifyAddress(address: string): AddressClass {
  const before = known.get(address);
  if (before) return before;
  if (known.size >= MOST_KNOWN) known.clear();
  const found = classify(address);
  known.set(address, found);
  return found;
}
