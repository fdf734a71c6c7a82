import type { Config } from '@react-router/dev/config'

// With React Router 7 (7.9 and later): { future: { v8_middleware: true } }
export default {} satisfies Config
