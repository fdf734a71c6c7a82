import { hash } from 'node:crypto'

/** Where a memcached listens. */
export interface MemcachedServer {
  /** A name or an address; that of IPv6 without brackets. */
  host: string
  port: number
}

const DEFAULT_PORT = 11211
const POINTS_PER_SERVER = 160
/** Where a hash's points are in it. */
const POINT_OFFSETS = [0, 4, 8, 12]

/**
 * Which server holds which key: the ketama ring as libmemcached builds it with `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED` and
 * equal weights, so that clients based on it (pylibmc, PHP's Memcached) find the same keys in the same places. The order
 * of the list does not matter; a server more or less moves only its own share of the keys.
 */
export class Ring {
  readonly #points: Uint32Array
  readonly #owners: Uint32Array

  /** @param servers As every client of them writes them: the ring is made of the names, so `localhost` is not `127.0.0.1`. */
  constructor(servers: readonly MemcachedServer[]) {
    const points = servers.flatMap((server, owner) =>
      pointsOf(server, servers.length).map((value) => ({ value, owner })),
    )
    points.sort((a, b) => a.value - b.value)
    this.#points = Uint32Array.from(points, ({ value }) => value)
    this.#owners = Uint32Array.from(points, ({ owner }) => owner)
  }

  /** The key's server, as an index into the list. */
  indexOf(key: string): number {
    const value = hash('md5', key, 'buffer').readUInt32LE(0)
    let low = 0
    let high = this.#points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#points[middle] ?? 0) < value) low = middle + 1
      else high = middle
    }
    return this.#owners[low] ?? this.#owners[0] ?? 0
  }
}

function pointsOf({ host, port }: MemcachedServer, serverCount: number): number[] {
  const name = port === DEFAULT_PORT ? host : `${host}:${port}`
  return Array.from({ length: hashesPerServer(serverCount) }, (_, index) => {
    const digest = hash('md5', `${name}-${index}`, 'buffer')
    return POINT_OFFSETS.map((offset) => digest.readUInt32LE(offset))
  }).flat()
}

/** libmemcached computes a server's share in single precision: 25 servers get 39 hashes each, not 40, and some counts more. */
function hashesPerServer(serverCount: number): number {
  const share = Math.fround(1 / serverCount)
  const hashes = Math.fround(Math.fround(share * POINTS_PER_SERVER) / POINT_OFFSETS.length)
  return Math.floor(Math.fround(Math.fround(hashes * serverCount) + 1e-10))
}
