import { readFileSync } from 'node:fs';

type Row = { payload: { grantId?: string; consumed?: unknown }; until?: number };

function rowsOf(stateFile: string): Map<string, Row> {
  return new Map(Object.entries(JSON.parse(readFileSync(stateFile, 'utf8')) as Record<string, Row>));
}

/** The grant that a refresh token belongs to, by the provider's own store. */
export function grantOf(stateFile: string, refreshToken: string): string {
  const grantId = rowsOf(stateFile).get(`RefreshToken:${refreshToken}`)?.payload.grantId;
  if (grantId === undefined) throw new Error('the provider does not know the refresh token that it has just given');
  return grantId;
}

/** The refresh token by which the provider would still honour this grant; undefined: it is over. */
export function honouredToken(stateFile: string, grantId: string): string | undefined {
  const rows = rowsOf(stateFile);
  if (!rows.has(`Grant:${grantId}`)) return undefined;
  for (const [key, { payload, until }] of rows) {
    const [model, token] = key.split(':');
    if (model !== 'RefreshToken' || payload.grantId !== grantId || payload.consumed) continue;
    if (until === undefined || until * 1000 > Date.now()) return token;
  }
  return undefined;
}
