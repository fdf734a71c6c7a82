// Usage: node scripts/make-python-fixtures.mjs <vishnu-python.json>
//
// Cuts what was recorded of the Python library down to what the tests of its dialect read.
import { Buffer } from 'node:buffer'
import { readFileSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const recordingPath = process.argv[2]
if (recordingPath === undefined) throw new Error('Usage: node scripts/make-python-fixtures.mjs <vishnu-python.json>')
const recording = JSON.parse(readFileSync(recordingPath, 'utf8'))

const { signed_cookies: signed, encrypted_cookies: encrypted } = recording
const cookie = ({ id, cookie_value: value, secret, encrypt_key: encryptKey, sid, iv_hex: iv, expected }) => ({
  id,
  value,
  secret,
  encryptKey,
  sid,
  iv,
  expected,
})
const malformed = encrypted.invalid
writeFixture('python-cookies.json.gz', {
  about: 'Cookie values of the Python library. accept: this id; reject: no session; either: not compared.',
  cookies: [
    ...[...signed.valid, ...signed.odd_sids, ...signed.invalid, ...encrypted.valid, ...encrypted.odd].map(cookie),
    ...malformed.cases.map((one) =>
      cookie({ secret: malformed.secret, encrypt_key: malformed.encrypt_key, sid: malformed.sid, ...one }),
    ),
    ...encrypted.aes_layer.values.map(({ length, value }) =>
      cookie({
        id: `encrypted-text-of-${length}`,
        cookie_value: value,
        secret: malformed.secret,
        encrypt_key: encrypted.aes_layer.encrypt_key,
        expected: 'reject',
      }),
    ),
  ],
})

const decodings = []
const indexByDecoding = new Map()
function decoding(decoded) {
  const text = JSON.stringify(decoded)
  if (!indexByDecoding.has(text)) indexByDecoding.set(text, decodings.push(decoded) - 1)
  return indexByDecoding.get(text)
}

const hugeRecords = new Set(['str-long-70000', 'bytes-long-70000', 'dict-1001', 'dict-2500-mixed'])
const stored = [
  'stored_values',
  'stored_values_other_encoders',
  'stored_values_python2',
  'stored_values_old_class_name',
]
const records = stored.flatMap((section) =>
  recording[section].records.flatMap((record) => {
    const pickles = Object.entries(record.pickles ?? { [record.protocol]: record.pickle })
    // The largest say nothing new in other protocols.
    return (hugeRecords.has(record.id) ? pickles.slice(-1) : pickles).map(([protocol, pickle]) => ({
      id: `${record.id} (protocol ${protocol})`,
      pickle,
      decoding: decoding(record.decoded_by_protocol?.[protocol] ?? record.decoded),
      className: (record.class ?? 'PickleableSession').split('.').at(-1),
      python: section === 'stored_values_python2' ? 2 : 3,
      expected: record.expected,
    }))
  }),
)
const written = recording.writer.forms.map(({ id, pickle, decoded, expected, recommended }) => ({
  id,
  pickle,
  decoding: decoded === undefined ? undefined : decoding(decoded),
  className: id.startsWith('class-name-3.0') ? 'PicklableSession' : 'PickleableSession',
  python: 3,
  recommended,
  expected: expected === 'accepted' ? 'decode' : 'refused',
}))
const compressed = [...recording.ndb_compressed.valid, ...recording.ndb_compressed.invalid].map(
  ({ id, stored: pickle, decoded, expected }) => ({
    id,
    pickle,
    decoding: decoded === undefined ? undefined : decoding(decoded),
    expected,
  }),
)
const others = [...recording.hostile_pickles.cases, ...recording.lenient_pickles.cases].map(
  ({ id, pickle, parts, expected }) => ({ id, pickle, parts, expected }),
)
const hostileText = others.map(({ pickle = '' }) => Buffer.from(pickle, 'base64').toString('latin1')).join()
const [marker] = /vishnu[\w-]*marker/.exec(hostileText)

writeFixture('python-pickles.json.gz', {
  about:
    'Records of the Python library and what they hold. decode: exactly this; refused: a normal error in bounded time; either: not compared. ' +
    'Hostile pickles that are run create the file named by marker in the temporary folder.',
  marker,
  decodings,
  records: [...records, ...written],
  compressed,
  others,
})

const headers = recording.set_cookie_headers.cases.map(
  ({ id, clock_utc: clock, config, path_given: hasPath, sid, ops, set_cookie: header, iv_hex: iv, expected }) => ({
    id,
    clock,
    config: { ...config, path: hasPath ? config.path : undefined },
    sid,
    ops: ops.map((op) => [op].flat()),
    header,
    iv,
    expected,
  }),
)
const { secret, scenarios } = recording.middleware_scenarios
writeFixture('python-middleware.json.gz', {
  about:
    'What the Python library sends and stores. A header follows from a configuration, a time (UTC) and operations on a new session; ' +
    'exact: the same; exact-or-corrected: the same, or corrected; refuse: an error of ours; either: not compared. ' +
    'The requests of a scenario come `at` seconds after 2024-02-29T12:00:00Z.',
  headers,
  secret,
  scenarios: scenarios.map(({ id, status, config, requests }) => ({
    id,
    status,
    config,
    requests: requests.map((request) => ({
      at: request.at,
      sent: request.cookie_sent_by_client,
      ops: request.ops,
      results: request.op_results,
      cookie: request.set_cookie,
      stored: request.stored_after,
    })),
  })),
})

function writeFixture(name, content) {
  const bytes = gzipSync(JSON.stringify(content), { level: 9 })
  writeFileSync(new URL(`../test/fixtures/${name}`, import.meta.url), bytes)
  console.log(`test/fixtures/${name}: ${bytes.length} bytes`)
}
