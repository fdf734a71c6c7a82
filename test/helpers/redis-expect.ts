import { expect } from 'vitest'
import type { BrowserResponse } from './browser.js'

/** An outage must not look like a log-out: 503, and no word about cookies. */
export function expectUnavailable(response: BrowserResponse): void {
  expect(response.status).toBe(503)
  expect(response.setCookies).toEqual([])
}
