/** How something stands. A tone never stands alone: an icon and words go with it. */
export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'neutral';

export const TONE_EDGE: Record<Tone, string> = {
  good: 'border-good',
  warn: 'border-warn',
  bad: 'border-bad',
  info: 'border-accent',
  neutral: 'border-line-strong',
};

export const TONE_BOX: Record<Tone, string> = {
  good: 'bg-good-soft border-good-line text-good',
  warn: 'bg-warn-soft border-warn-line text-warn',
  bad: 'bg-bad-soft border-bad-line text-bad',
  info: 'bg-accent-soft border-accent/30 text-accent',
  neutral: 'bg-sunken border-line text-ink-soft',
};
