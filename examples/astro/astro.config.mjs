import node from '@astrojs/node'
import { defineConfig } from 'astro/config'

export default defineConfig({
  output: 'server',
  adapter: node({ mode: 'standalone' }),
  // The names that the site is reached by: forms sent to others are refused.
  security: { allowedDomains: [{ hostname: 'localhost' }] },
})
