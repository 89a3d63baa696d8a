import { FileCog, Pencil } from 'lucide-react';
import { useState } from 'react';
import type { Connection } from '../api/wire.ts';
import { factText } from '../text/outcomes.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Notice } from '../ui/notice.tsx';
import { Time } from '../ui/time.tsx';
import { ConfigForm } from './config-form.tsx';

function ConfigView({ connection }: { connection: Connection }) {
  const issueOf = (key: string) => connection.issues.find(({ path }) => path === key || path.startsWith(`${key}.`));
  const keys = Object.keys(connection.config);
  // A required key that is missing has an issue and no row of its own yet.
  const missing = connection.issues.filter(
    ({ path }) => !keys.some((key) => path === key || path.startsWith(`${key}.`)),
  );
  return (
    <dl className="text-sm">
      {keys.map((key) => (
        <div
          key={key}
          className="grid gap-x-6 border-t border-line py-2.5 first:border-t-0 sm:grid-cols-[17.5rem_minmax(0,1fr)]"
        >
          <dt className="font-mono text-[0.8125rem] leading-6 text-ink-soft">{key}</dt>
          <dd className="font-mono text-[0.8125rem] leading-6 wrap-anywhere">
            {factText(connection.config[key])}
            {issueOf(key) && <span className="block font-sans font-medium text-bad">{issueOf(key)?.message}</span>}
          </dd>
        </div>
      ))}
      {missing.map(({ path, message }) => (
        <div
          key={`${path} ${message}`}
          className="grid gap-x-6 border-t border-line py-2.5 sm:grid-cols-[17.5rem_minmax(0,1fr)]"
        >
          <dt className="font-mono text-[0.8125rem] leading-6 text-ink-soft">{path}</dt>
          <dd className="text-[0.8125rem] leading-6 font-medium text-bad">{message}</dd>
        </div>
      ))}
    </dl>
  );
}

export function ConfigCard({ connection }: { connection: Connection }) {
  const [editing, setEditing] = useState(false);
  const fromFile = connection.source === 'file';
  return (
    <Card
      title="Configuration"
      aside={
        !fromFile &&
        !editing && (
          <Button icon={<Pencil size={15} aria-hidden />} onClick={() => setEditing(true)}>
            Edit
          </Button>
        )
      }
    >
      {editing ? (
        <ConfigForm connection={connection} onClose={() => setEditing(false)} />
      ) : (
        <div className="space-y-4">
          {fromFile && (
            <p className="flex items-start gap-2.5 text-sm text-ink-soft">
              <FileCog size={17} aria-hidden className="mt-0.5 shrink-0" />
              Declared in the configuration file: change it there and restart the server.
            </p>
          )}
          {connection.issues.length > 0 && (
            <Notice tone="bad" title="This configuration cannot be used">
              {fromFile ? 'Correct the marked fields in the configuration file.' : 'Edit the marked fields and save.'}
            </Notice>
          )}
          {connection.description && <p className="text-sm wrap-anywhere">{connection.description}</p>}
          <ConfigView connection={connection} />
          <p className="text-[0.8125rem] text-ink-soft wrap-anywhere">
            Last changed <Time iso={connection.updated_at} /> by {connection.updated_by}
          </p>
        </div>
      )}
    </Card>
  );
}
