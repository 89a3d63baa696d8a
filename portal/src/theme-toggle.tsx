import { type LucideIcon, Monitor, Moon, Sun } from 'lucide-react';
import { THEMES, type Theme, useTheme } from './theme.ts';

const LOOK: Record<Theme, { label: string; icon: LucideIcon }> = {
  system: { label: 'As the system', icon: Monitor },
  light: { label: 'Light', icon: Sun },
  dark: { label: 'Dark', icon: Moon },
};

export function ThemeToggle() {
  const [theme, setTheme] = useTheme();
  return (
    <fieldset className="flex rounded-lg border border-line bg-sunken p-0.5">
      <legend className="sr-only">Theme</legend>
      {THEMES.map((each) => {
        const { label, icon: Icon } = LOOK[each];
        return (
          <button
            key={each}
            type="button"
            aria-label={label}
            title={label}
            aria-pressed={theme === each}
            onClick={() => setTheme(each)}
            className="grid size-8 place-items-center rounded-md text-ink-soft hover:text-ink aria-pressed:bg-accent-soft
              aria-pressed:text-accent"
          >
            <Icon size={16} aria-hidden />
          </button>
        );
      })}
    </fieldset>
  );
}
