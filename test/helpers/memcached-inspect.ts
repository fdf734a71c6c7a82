import { randomBytes } from 'node:crypto'
import type { MemcachedServer } from './memcached-server.js'

/** What a key holds, as latin1 text; undefined if nothing. Does not count as a use of it. */
export async function storedText(server: MemcachedServer, key: string): Promise<string | undefined> {
  const reply = await server.command(`mg ${key} v q`)
  return /^VA \d+.*\r\n([\s\S]*)\r\n$/.exec(reply)?.[1]
}

/** Seconds until Memcached drops the key: Infinity for never. */
export async function timeToLive(server: MemcachedServer, key: string): Promise<number> {
  const [, seconds] = /^HD t(-?\d+)/.exec(await server.command(`mg ${key} t`)) ?? []
  if (seconds === undefined) throw new Error(`Memcached holds nothing at ${key}`)
  return seconds === '-1' ? Infinity : Number(seconds)
}

export async function statistic(server: MemcachedServer, name: string): Promise<number> {
  const [, value] = new RegExp(`STAT ${name} (\\d+)`).exec(await server.command('stats')) ?? []
  if (value === undefined) throw new Error(`Memcached has no statistic ${name}`)
  return Number(value)
}

/** How many gets and sets the work takes. */
export async function commandsDuring(
  server: MemcachedServer,
  work: () => Promise<unknown>,
): Promise<{ gets: number; sets: number }> {
  const count = async (): Promise<[number, number]> => [
    await statistic(server, 'cmd_get'),
    await statistic(server, 'cmd_set'),
  ]
  const [gets, sets] = await count()
  await work()
  const [laterGets, laterSets] = await count()
  return { gets: laterGets - gets, sets: laterSets - sets }
}

/** Makes a server that runs with `-m 1` drop a key, the way it always does: by filling it with newer ones of that size. */
export async function evict(server: MemcachedServer, key: string): Promise<void> {
  // `me` looks without counting as a use, which would spare the key.
  const look = (): Promise<string> => server.command(`me ${key}`)
  const [, size] = / size=(\d+)/.exec(await look()) ?? []
  if (size === undefined) throw new Error(`Memcached holds nothing at ${key}`)
  const value = 'x'.repeat(Number(size) - key.length - ITEM_OVERHEAD)
  const perRound = Math.ceil(MEBIBYTE / Number(size))
  for (let round = 0; round < 50; round++) {
    // Names that were not there before: an item that is written again takes the room of its old one.
    const name = randomBytes(key.length)
      .toString('hex')
      .slice(0, key.length - 6)
    const commands = Array.from({ length: perRound }, (_, index) => {
      const number = String(index).padStart(6, '0')
      return `ms ${name}${number} ${value.length} T0 q\r\n${value}\r\n`
    })
    await server.command(commands.join(''))
    if ((await look()).startsWith('EN')) return
  }
  throw new Error(`Memcached holds on to ${key}`)
}

const MEBIBYTE = 1024 * 1024
/** Header, CAS id, the key's NUL and the value's line end. */
const ITEM_OVERHEAD = 48 + 8 + 1 + 2
