import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EscrowEntry } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { createFileEscrow } from '../../src/db/escrow.ts';
import { binding, NOON, testBox } from '../suites/store-fixture.ts';
import { recordingLog } from '../support/database.ts';

function entryOf(attempt_id: string, more: Partial<EscrowEntry> = {}): EscrowEntry {
  return {
    attempt_id,
    purpose: 'refresh',
    key: { kind: 'mcp', name: 'acme' },
    incarnation: '00000000-0000-4000-8000-000000000000',
    parent_generation: 9_007_199_254_740_993n,
    consent_seq: null,
    replica_id: 'replica-a',
    boot_id: 7n,
    reply: {
      type: 'answer',
      status: 200,
      media_type: 'application/json',
      retry_after: null,
      body: new Secret('{"access_token":"THE-TOKEN","$secret":"x","$bigint":"y"}'),
    },
    sent_at: NOON,
    received_at: NOON + 100,
    actor: 'system:background-refresh',
    binding,
    origin_of_trust: 'https://mcp.example/mcp',
    client_secret: new Secret('THE-SECRET'),
    presented_refresh_token: null,
    ambiguous_before: false,
    before: { expires_at: NOON, refresh_expires_at: null, refresh_token_fingerprint: 'print' },
    reason: 'access_token_expiring',
    ...more,
  };
}

describe('the escrow', () => {
  let directory: string;
  beforeEach(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'escrow-')), 'replica', 'escrow');
  });
  afterEach(() => rm(join(directory, '..', '..'), { recursive: true, force: true }));
  const escrowOf = (fill = 1, log = recordingLog()) => createFileEscrow({ directory, box: testBox(fill), log });

  it('gives back after a restart what was written, secrets and large numbers included', async () => {
    const entry = entryOf('one');
    await escrowOf().write(entry);
    const [read] = (await escrowOf().list()).entries;
    expect(read).toEqual(entry);
    expect(read?.parent_generation).toBe(9_007_199_254_740_993n);
    expect(read?.client_secret?.reveal()).toBe('THE-SECRET');
    expect(read?.reply.type === 'answer' && read.reply.body.reveal()).toContain('THE-TOKEN');
  });

  it('holds no secret in the open, and is its owner’s alone', async () => {
    await escrowOf().write(entryOf('one'));
    expect(await readdir(directory)).toEqual(['one.escrow']);
    expect(await readFile(join(directory, 'one.escrow'), 'utf8')).not.toMatch(/THE-|print|client"/);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, 'one.escrow'))).mode & 0o777).toBe(0o600);
  });

  it('keeps a file per attempt, so that clearing one leaves the others (trace 14)', async () => {
    const escrow = escrowOf();
    await escrow.write(entryOf('refresh', { received_at: NOON + 2 }));
    await escrow.write(entryOf('connect', { purpose: 'connect', consent_seq: 3n, received_at: NOON + 1 }));
    expect((await escrow.list()).entries.map((entry) => entry.attempt_id)).toEqual(['connect', 'refresh']);
    await escrow.clear('refresh');
    await escrow.clear('refresh');
    expect((await escrow.list()).entries.map((entry) => entry.attempt_id)).toEqual(['connect']);
  });

  it('finds a reply that was complete when the process ended before its rename', async () => {
    const escrow = escrowOf();
    await escrow.write(entryOf('one'));
    await rename(join(directory, 'one.escrow'), join(directory, 'one.escrow-new'));
    expect(await escrow.list()).toEqual({ entries: [entryOf('one')], unreadable: 0 });
    await escrow.clear('one');
    expect(await readdir(directory)).toEqual([]);
  });

  it('keeps and reports once what it cannot read: another key, damage, another name, half a file', async () => {
    const log = recordingLog();
    await escrowOf(2).write(entryOf('other-key'));
    const escrow = escrowOf(1, log);
    await escrow.write(entryOf('good'));
    const text = await readFile(join(directory, 'good.escrow'), 'utf8');
    await writeFile(join(directory, 'renamed.escrow'), text);
    await writeFile(join(directory, 'moved.escrow'), text.replace('"acme"', '"evil"'));
    await writeFile(join(directory, 'half.escrow-new'), text.slice(0, 40));
    await writeFile(join(directory, 'format.escrow'), '{"format":9}');
    expect((await escrow.list()).entries.map((entry) => entry.attempt_id)).toEqual(['good']);
    // Half a file never was the only copy of anything that can be had back.
    expect((await escrow.list()).unreadable).toBe(4);
    expect(log.lines.map(({ level, fields }) => [level, fields.file, fields.reason]).sort()).toEqual([
      ['error', 'format.escrow', 'of another format'],
      ['error', 'half.escrow-new', 'not complete'],
      ['error', 'moved.escrow', 'damaged'],
      ['error', 'other-key.escrow', 'encrypted with another key'],
      ['error', 'renamed.escrow', 'not the one it is named for'],
    ]);
    expect(await readdir(directory)).toHaveLength(6);
    expect((await escrowOf(2).list()).entries).toEqual([entryOf('other-key')]);
  });

  it('lists the others when the system refuses to read one of them', async () => {
    const log = recordingLog();
    const escrow = escrowOf(1, log);
    await escrow.write(entryOf('good'));
    await mkdir(join(directory, 'folder.escrow'));
    await symlink('loop.escrow', join(directory, 'loop.escrow'));
    expect(await escrow.list()).toEqual({ entries: [entryOf('good')], unreadable: 2 });
    await escrow.list();
    expect(log.lines.map(({ level, fields }) => [level, fields.file, fields.reason])).toEqual([
      ['error', 'folder.escrow', 'EISDIR'],
      ['error', 'loop.escrow', 'ELOOP'],
    ]);
  });

  it('takes no attempt id for a path', async () => {
    await expect(escrowOf().write(entryOf('../outside'))).rejects.toThrow(TypeError);
    await expect(escrowOf().clear('../outside')).rejects.toThrow(TypeError);
  });
});
