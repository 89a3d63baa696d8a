import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Plus, Waypoints } from 'lucide-react';
import { connectionsQuery } from '../api/queries.ts';
import { ConnectionRow } from '../connection/connection-row.tsx';
import { buttonClass } from '../ui/button.tsx';
import { LoadError, Loading } from '../ui/load-states.tsx';
import { PageHeading } from '../ui/page-heading.tsx';

function AddLink() {
  return (
    <Link to="/connections/new" className={buttonClass('primary')}>
      <Plus size={16} aria-hidden />
      Add connection
    </Link>
  );
}

function Empty() {
  return (
    <div className="rounded-xl border border-dashed border-line-strong bg-surface px-6 py-16 text-center">
      <Waypoints size={36} aria-hidden className="mx-auto mb-4 text-ink-soft" />
      <h2 className="text-lg font-semibold">No connections yet</h2>
      <p className="mx-auto mt-2 mb-6 max-w-md text-ink-soft">
        Paste the URL of an MCP server, sign in to it once, and its tools are there for your agents.
      </p>
      <AddLink />
    </div>
  );
}

export function ConnectionsPage() {
  const { data, error, isFetching, refetch } = useQuery(connectionsQuery);
  const connections = data?.connections;
  return (
    <>
      <PageHeading
        title="Connections"
        after={<p className="text-ink-soft">The servers that your agents reach through this platform.</p>}
        actions={connections && connections.length > 0 && <AddLink />}
      />
      <div className="space-y-5">
        {error && (
          <LoadError
            what="The connections"
            error={error}
            retry={() => void refetch()}
            retrying={isFetching}
            stale={data !== undefined}
          />
        )}
        {!data && !error && <Loading what="the connections" />}
        {connections?.length === 0 && <Empty />}
        {connections && connections.length > 0 && (
          <ul className="divide-y divide-line overflow-hidden rounded-xl border border-line bg-surface shadow-card">
            {connections.map((connection) => (
              <ConnectionRow key={`${connection.kind}/${connection.name}`} connection={connection} />
            ))}
          </ul>
        )}
      </div>
    </>
  );
}
