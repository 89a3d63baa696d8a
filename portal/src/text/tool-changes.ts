import type { ToolChange } from '../api/wire.ts';

const PART_WORDS: Record<ToolChange['parts'][number], string> = {
  title: 'title',
  description: 'description',
  inputSchema: 'input schema',
  outputSchema: 'output schema',
  annotations: 'annotations',
  _meta: '_meta',
  other: 'other parts',
};

const CHANGE_WORDS: Record<ToolChange['change'], string> = { added: 'Added', removed: 'Removed', changed: 'Changed' };

/** «Added», «Changed: description, input schema». */
export function toolChangeText({ change, parts }: Pick<ToolChange, 'change' | 'parts'>): string {
  const words = CHANGE_WORDS[change];
  return parts.length === 0 ? words : `${words}: ${parts.map((part) => PART_WORDS[part]).join(', ')}`;
}
