import { cookies, type NextCookie } from 'next/headers.js'
import { ConfigError } from '../errors.js'

/** Sets cookies where Next.js has no response yet, with the attributes of these Set-Cookie lines. */
export async function setCookies(lines: readonly string[]): Promise<void> {
  const jar = await cookies()
  for (const line of lines) jar.set(cookieOf(line))
}

/** Next.js takes attributes by name: `Max-Age=60` is `maxAge: 60`. It would add a path that ours is sent without. */
function cookieOf(line: string): NextCookie {
  const [[name = '', value = ''] = [], ...attributes] = line.split('; ').map((part) => part.split(/=(.*)/))
  if (encodeURIComponent(value) !== value) throw new ConfigError('vishnu/next', [ENCODED])
  const cookie: NextCookie & Record<string, unknown> = { name, value, path: '' }
  for (const [attribute = '', text = ''] of attributes) {
    const key = attribute.charAt(0).toLowerCase() + attribute.slice(1).replace('-', '')
    cookie[key] = valueOf(key, text)
  }
  return cookie
}

function valueOf(key: string, text: string): unknown {
  if (key === 'maxAge') return Number(text)
  if (key === 'expires') return new Date(text)
  return text === '' ? true : text
}

const ENCODED =
  'Next.js would encode this cookie, so that nobody could open it: set sessions of this dialect in a route handler, or leave out encryptKey'
