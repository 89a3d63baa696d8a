import { useInfiniteQuery } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { callsQuery } from '../api/queries.ts';
import type { CallList, ConnectionKey } from '../api/wire.ts';
import { notRecordedText, notRecordedTitle, OUTCOME_CHOICES } from '../text/calls.ts';
import { CONTROL } from '../ui/field.tsx';
import { FoldCard } from '../ui/fold-card.tsx';
import { Notice } from '../ui/notice.tsx';
import { PagedList } from '../ui/paged-list.tsx';
import { CallRow } from './call-row.tsx';

const EVERY = 'all';

function OutcomeFilter({ chosen, onChoice }: { chosen: string; onChoice: (choice: string) => void }) {
  const id = useId();
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
      <label htmlFor={id} className="text-sm font-medium">
        Outcome
      </label>
      <select
        id={id}
        value={chosen}
        onChange={({ target }) => onChoice(target.value)}
        className={`${CONTROL} max-w-64`}
      >
        {[...OUTCOME_CHOICES].map(([choice, { label }]) => (
          <option key={choice} value={choice}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}

function NotRecorded({ lost }: { lost: CallList['not_recorded'] | undefined }) {
  if (!lost) return null;
  return (
    <Notice tone="warn" title={notRecordedTitle(lost)}>
      {notRecordedText(lost)}
    </Notice>
  );
}

function CallsList({ connectionKey }: { connectionKey: ConnectionKey }) {
  const [chosen, choose] = useState(EVERY);
  const calls = useInfiniteQuery(callsQuery(connectionKey, OUTCOME_CHOICES.get(chosen)?.outcomes ?? []));
  const pages = calls.data?.pages;
  return (
    <div className="space-y-4">
      <OutcomeFilter chosen={chosen} onChoice={choose} />
      <NotRecorded lost={pages?.[0]?.not_recorded} />
      <PagedList
        what="the calls"
        pages={calls}
        items={pages?.flatMap((page) => page.calls)}
        empty={chosen === EVERY ? 'No call is recorded.' : 'No call is recorded that ended so.'}
        row={(call) => <CallRow key={call.id} call={call} />}
      />
    </div>
  );
}

export function CallsPanel({ connectionKey }: { connectionKey: ConnectionKey }) {
  return (
    <FoldCard title="Calls">
      <CallsList connectionKey={connectionKey} />
    </FoldCard>
  );
}
