import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { findChromium, loadPlaywright } from '../tools/browser.mjs';

const tools = createRequire(new URL('../tools/package.json', import.meta.url));
const root = fileURLToPath(new URL('../../portal', import.meta.url));

/** Builds the portal as it is released, into a folder of its own. */
export async function buildPortal(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'portal-'));
  const configFile = path.join(root, 'vite.config.ts');
  await build({ root, configFile, logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

export async function launchBrowser() {
  return await loadPlaywright().chromium.launch(await findChromium());
}

/** Every rule that axe has for WCAG 2.2 A and AA, and its best practices. */
export async function axeFindings(page: Awaited<ReturnType<typeof launchBrowser>>): Promise<string[]> {
  await page.evaluate(tools('axe-core').source);
  const found: { id: string; nodes: { target: string[]; failureSummary: string }[] }[] = await page.evaluate(
    'axe.run(document).then((result) => result.violations)',
  );
  return found.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id} at ${node.target.join(' ')}: ${node.failureSummary}`),
  );
}

/** How many pixels the page is wider than its window: what a person on a phone has to push sideways. */
export async function overflow(page: Awaited<ReturnType<typeof launchBrowser>>): Promise<number> {
  return await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

export async function screenshot(page: Awaited<ReturnType<typeof launchBrowser>>, name: string): Promise<void> {
  const folder = process.env.SCREENSHOT_DIR;
  if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
}
