import { useMutation } from '@tanstack/react-query';
import { Stethoscope } from 'lucide-react';
import { api, problemMessage, refetchConnection } from '../api/queries.ts';
import type { ConnectionKey, ToolkitTest } from '../api/wire.ts';
import { factLabel, factText } from '../text/outcomes.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Notice } from '../ui/notice.tsx';

function TestResult({ result }: { result: ToolkitTest }) {
  const facts = Object.entries(result.details ?? {});
  return (
    <Notice tone={result.ok ? 'good' : 'bad'} title={result.ok ? 'It works' : 'It does not work'}>
      <p>{result.message}</p>
      {facts.length > 0 && (
        <dl className="mt-3 grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1">
          {facts.map(([key, value]) => (
            <div key={key} className="contents">
              <dt className="text-ink-soft">{factLabel(key)}</dt>
              <dd>{factText(value)}</dd>
            </div>
          ))}
        </dl>
      )}
    </Notice>
  );
}

/** What the Test of each kind sends; a kind that a toolkit brought knows best itself. */
function asked({ kind }: ConnectionKey): string {
  if (kind === 'mcp') return 'the server for its tools';
  return kind === 'api' ? 'the API for its base URL, and reads its description again' : 'the upstream';
}

export function TestPanel({ connectionKey }: { connectionKey: ConnectionKey }) {
  const test = useMutation({
    mutationFn: () => api.testConnection({ params: connectionKey }),
    onSettled: () => refetchConnection(connectionKey),
  });
  return (
    <Card
      title="Test"
      aside={
        <Button icon={<Stethoscope size={16} aria-hidden />} busy={test.isPending} onClick={() => test.mutate()}>
          Test now
        </Button>
      }
    >
      <div className="space-y-4">
        <p className="text-sm text-ink-soft">
          Asks {asked(connectionKey)}, with the credentials that a tool call would use.
        </p>
        {test.data && <TestResult result={test.data} />}
        {test.error && (
          <Notice tone="bad" title="The test could not be run">
            {problemMessage(test.error)}
          </Notice>
        )}
      </div>
    </Card>
  );
}
