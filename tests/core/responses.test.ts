import { describe, expect, it } from 'vitest';
import { WholeResponse } from '../../src/core/responses.ts';

const ofText = (text: string, head = { status: 200 }) => new WholeResponse(new TextEncoder().encode(text), head);

describe('a response whose body is there', () => {
  it('tells it as text, JSON, bytes, a stream, as any response does', async () => {
    expect(await ofText('"ä"').text()).toBe('"ä"');
    expect(await ofText('{"a":1}').json()).toEqual({ a: 1 });
    expect(new Uint8Array(await ofText('ab').arrayBuffer())).toEqual(new Uint8Array([97, 98]));
    expect(await (await ofText('ab').blob()).text()).toBe('ab');
    expect(await new Response(ofText('ab').body).text()).toBe('ab');
    expect(await ofText('ab').clone().text()).toBe('ab');
  });

  it('keeps status, headers and address', () => {
    const headers = new Headers({ 'x-a': '1' });
    const url = 'https://api.example/a';
    const response = new WholeResponse(new Uint8Array(), { status: 404, headers, url });
    expect(response).toBeInstanceOf(Response);
    expect([response.status, response.ok, response.headers.get('x-a'), response.url]).toEqual([404, false, '1', url]);
  });

  it('is read once, whichever way', async () => {
    const response = ofText('ab');
    expect(response.bodyUsed).toBe(false);
    await response.text();
    expect(response.bodyUsed).toBe(true);
    await expect(response.text()).rejects.toThrow(TypeError);
    await expect(response.arrayBuffer()).rejects.toThrow(TypeError);
    const streamed = ofText('ab');
    await streamed.body?.cancel();
    expect(streamed.bodyUsed).toBe(true);
    await expect(streamed.json()).rejects.toThrow(TypeError);
  });
});
