import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react(), tailwindcss()],
  // Absolute, because a deep link such as /connections/mcp/x loads the same assets.
  base: '/',
  build: {
    outDir: '../dist/portal',
    emptyOutDir: true,
    // Inlined assets would be data: URLs, which the page's policy refuses.
    assetsInlineLimit: 0,
    // 570 kB raw, 179 kB compressed, loaded once and then cached: splitting it would only add round trips.
    chunkSizeWarningLimit: 700,
  },
});
