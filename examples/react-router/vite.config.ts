import { reactRouter } from '@react-router/dev/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [reactRouter()],
  // It runs on the server only. Without this Vite prepares it for the browser, and reloads the page when it has.
  optimizeDeps: { exclude: ['vishnu'] },
})
