import { type ErrorComponentProps, Link } from '@tanstack/react-router';
import { buttonClass } from '../ui/button.tsx';
import { PageHeading } from '../ui/page-heading.tsx';

function Dead({ title, text }: { title: string; text: string }) {
  return (
    <div className="mx-auto max-w-lg py-10 text-center">
      <PageHeading title={title} />
      <p className="mb-6 text-ink-soft">{text}</p>
      <Link to="/connections" className={buttonClass('primary')}>
        To the connections
      </Link>
    </div>
  );
}

export function NotFoundPage() {
  return <Dead title="There is no such page" text="The address may be mistyped, or what was here is gone." />;
}

export function PageFault(_: ErrorComponentProps) {
  return (
    <Dead title="This page broke" text="It is a fault of the portal, not of your connections. Reload to try again." />
  );
}
