import { useTimedText } from '../clock.ts';
import { absoluteTime, relativeTime } from '../text/time.ts';

/** Relative, with the absolute time on hover and for assistive technology that reads `datetime`. */
export function Time({ iso }: { iso: string }) {
  const text = useTimedText((now) => relativeTime(iso, now));
  return (
    <time dateTime={iso} title={absoluteTime(iso)} className="whitespace-nowrap">
      {text}
    </time>
  );
}
