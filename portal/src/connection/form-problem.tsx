import { problemMessage } from '../api/queries.ts';
import { ApiProblem, type FieldIssue } from '../api/wire.ts';
import { issuesElsewhere } from '../text/config-form.ts';
import { Notice } from '../ui/notice.tsx';

export function issuesOf(error: unknown): readonly FieldIssue[] {
  return error instanceof ApiProblem ? error.issues : [];
}

/** What went wrong with a save: beside the fields that have issues, this names the failure and whatever has no field. */
export function FormProblem({ error, shown }: { error: unknown; shown: readonly string[] }) {
  if (!error) return null;
  const issues = issuesOf(error);
  const elsewhere = issuesElsewhere(issues, shown);
  const atFields = issues.length > elsewhere.length;
  return (
    <Notice tone="bad" title="Not saved">
      {atFields ? <p>Correct the fields that are marked and save again.</p> : <p>{problemMessage(error)}</p>}
      {atFields && elsewhere.length > 0 && (
        <ul className="list-disc pl-5">
          {elsewhere.map(({ path, message }) => (
            <li key={`${path} ${message}`}>
              <code>{path}</code> {message}
            </li>
          ))}
        </ul>
      )}
    </Notice>
  );
}
