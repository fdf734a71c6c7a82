import { cookies } from 'next/headers.js'
import { ConfigError } from '../errors.js'
import { readSetCookie } from './set-cookie-line.js'

/** Sets cookies where Next.js has no response yet, with the attributes of these Set-Cookie lines. */
export async function setCookies(lines: readonly string[]): Promise<void> {
  const jar = await cookies()
  for (const { name, value, options } of lines.map(readSetCookie)) {
    if (encodeURIComponent(value) !== value) throw new ConfigError('vishnu/next', [ENCODED])
    jar.set({ name, value, ...options })
  }
}

const ENCODED =
  'Next.js would encode this cookie, so that nobody could open it: set sessions of this dialect in a route handler, or leave out encryptKey'
