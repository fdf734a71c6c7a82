import { randomBytes } from 'node:crypto'

/** 256 bits, as strong as the MAC they are for; 43 characters that need no quotes in a shell or an environment file. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url')
}
