import { describe, expect, test } from 'vitest'
import { Ring, type MemcachedServer } from '../src/memcached-client/index.js'

const listOf = (length: number, server: (number: number) => MemcachedServer): MemcachedServer[] =>
  Array.from({ length }, (_, index) => server(index + 1))
const keys = Array.from({ length: 240 }, (_, number) => `key-${number}`)
const ownersOf = (servers: readonly MemcachedServer[]): string => {
  const ring = new Ring(servers)
  return keys.map((key) => ring.indexOf(key).toString(36)).join('')
}

/**
 * The owner of `key-0` to `key-239`, one base-36 digit each, as libmemcached 1.1.4 of Debian 12 answers: with Python's
 * ctypes, `memcached_behavior_set(m, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1)`, a `memcached_server_add` for each server,
 * and `memcached_generate_hash` for each key.
 */
const vectors: { name: string; servers: MemcachedServer[]; owners: string }[] = [
  {
    name: 'two ports of one host, of which the default one is not in the name',
    servers: listOf(2, (number) => ({ host: 'localhost', port: 11210 + number })),
    owners:
      '10000111110101101100010101011011110010001011101010001010001111110011110000000101' +
      '10001100101100100011100000100001011100011000100001001000100000011000111101011100' +
      '11011000100001011110001011110110011001100110110100101011010011000101000010100111',
  },
  {
    name: 'three addresses',
    servers: [
      { host: '10.0.0.1', port: 11211 },
      { host: '10.0.0.2', port: 11211 },
      { host: '10.0.0.3', port: 11311 },
    ],
    owners:
      '11211020121000122201100211100120110112102210122021211021101210010011020111100102' +
      '12210111100022211221221012200021210221222122002002022222001212111012222012110111' +
      '11101200211001001220012220201100012012000210001100010020120000100222200000002010',
  },
  {
    name: 'IPv6 addresses and a host name',
    servers: [
      { host: '::1', port: 11211 },
      { host: '::1', port: 11212 },
      { host: 'cache.example.com', port: 11211 },
    ],
    owners:
      '22122102122201122202101112221111020112012002002010222000220210201000222220211210' +
      '02022112010222210110201122002010022002212210000020122010100011010102211101201110' +
      '01220202222211011211101112111221110222011110101100021201201020211220100022021112',
  },
  {
    name: '25 hosts, which get fewer points each than 24 do',
    servers: listOf(25, (number) => ({ host: `cache${number}.example.com`, port: 11211 })),
    owners:
      '40ef77be4h0ki1l0ih3ofgb1dk7c1il1oe91mnchja737jmce0c67m442a4528nkkcn6gh1fb15ggh2h' +
      'fbchnflffg7cbbcchne29cegio5i7mcgeb7o90c4gce8idi81nnjidio5fgdi0fim8a5mhf6m50c2f3o' +
      '260nm7bl9ccnfh7hnijgj9786cholfo8j1mj2d28o1a10386f43772m8lf8fcgfo1ao6c1jn9c2c72d3',
  },
]

describe('the ring', () => {
  test.each(vectors)('is that of libmemcached for $name', ({ servers, owners }) => {
    expect(ownersOf(servers)).toBe(owners)
  })

  test('does not depend on the order in which the servers are listed', () => {
    const servers = listOf(5, (number) => ({ host: `cache${number}`, port: 11211 }))
    const [straight, reversed] = [new Ring(servers), new Ring(servers.toReversed())]
    for (const key of keys) expect(reversed.indexOf(key)).toBe(4 - straight.indexOf(key))
  })

  test('moves the keys of a server that is taken away, and no others', () => {
    const servers = listOf(5, (number) => ({ host: `cache${number}`, port: 11211 }))
    const [all, without] = [new Ring(servers), new Ring(servers.slice(0, 4))]
    const moved = keys.filter((key) => all.indexOf(key) !== without.indexOf(key))
    expect(moved).toEqual(keys.filter((key) => all.indexOf(key) === 4))
    expect(moved.length).toBeGreaterThan(0)
  })

  test('gives one server every key', () => {
    expect(ownersOf([{ host: 'localhost', port: 11211 }])).toBe('0'.repeat(keys.length))
  })
})
