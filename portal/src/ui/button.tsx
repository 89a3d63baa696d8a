import { LoaderCircle } from 'lucide-react';
import type { ComponentProps, ReactNode } from 'react';

const LOOK = {
  primary: 'bg-accent text-on-accent border-transparent hover:bg-accent-strong',
  plain: 'bg-surface text-ink border-line-strong/60 hover:bg-sunken',
  quiet: 'bg-transparent text-ink border-transparent hover:bg-sunken',
  danger: 'bg-bad text-on-bad border-transparent hover:brightness-95',
  dangerPlain: 'bg-surface text-bad border-bad-line hover:bg-bad-soft',
} as const;

export type ButtonLook = keyof typeof LOOK;

export function buttonClass(look: ButtonLook = 'plain'): string {
  return `inline-flex min-h-10 items-center justify-center gap-2 rounded-lg border px-3.5 py-1.5 text-sm font-medium
    transition-colors select-none disabled:cursor-not-allowed disabled:opacity-60 ${LOOK[look]}`;
}

type ButtonProps = ComponentProps<'button'> & { look?: ButtonLook; icon?: ReactNode; busy?: boolean };

/** `busy` keeps the button in place and named, and says that work is under way. */
export function Button({ look, icon, busy = false, children, className = '', disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || busy}
      aria-busy={busy}
      className={`${buttonClass(look)} ${className}`}
    >
      {busy ? <LoaderCircle size={16} aria-hidden className="motion-safe:animate-spin" /> : icon}
      {children}
    </button>
  );
}
