import { Buffer } from 'node:buffer'
import {
  ByteString,
  Instance,
  type InstanceKind,
  isHashable,
  type PythonNode,
  textOf,
  Transient,
} from './python-nodes.js'

/** The names of the session's class, the present one and that of vishnu 2.0.0 to 3.0.3. Neither version reads the other. */
const SESSION_CLASSES = ['PickleableSession', 'PicklableSession'] as const
export type SessionClass = (typeof SESSION_CLASSES)[number]

/** The session object of a pickle; `state` are its attributes. */
export class SessionObject extends Transient {
  readonly className: SessionClass
  state: Map<PythonNode, PythonNode> | undefined
  readonly description = 'a session object'

  constructor(className: SessionClass, state?: Map<PythonNode, PythonNode>) {
    super()
    this.className = className
    this.state = state
  }
}

/** A class or function that a pickle may name. Naming it runs nothing: what it does is written here. */
export class Callable extends Transient {
  readonly description = 'a class'
  /** What the call gives; undefined if Python would not take the arguments or would not have written them. */
  readonly call: (args: readonly PythonNode[]) => PythonNode | undefined
  /** An object without its attributes, which follow. */
  readonly create: (() => PythonNode) | undefined

  constructor(call: (args: readonly PythonNode[]) => PythonNode | undefined, create?: () => PythonNode) {
    super()
    this.call = call
    this.create = create
  }
}

/** The arguments in the one form that is kept and written; undefined if they are refused. */
export const canonicalArguments: Record<InstanceKind, (args: readonly PythonNode[]) => PythonNode[] | undefined> = {
  set: itemsArgument,
  frozenset: itemsArgument,
  bytearray: ([content, encoding, ...rest]) => {
    if (content === undefined) return [new Uint8Array()]
    if (content instanceof Uint8Array && encoding === undefined) return [content]
    const bytes = encoding === 'latin-1' && rest.length === 0 ? latin1(content) : undefined
    return bytes && [bytes]
  },
  datetime: (args) => momentArguments(args, { stateBytes: 10, least: 3, most: 7 }),
  date: (args) => {
    const state = args.length === 1 ? stateBytes(args[0], 4) : undefined
    const fields = state ? [state.readUInt16BE(0), ...state.subarray(2)] : integers(args, 3, 3)
    return fields && isDate(fields) ? fields : undefined
  },
  time: (args) => momentArguments(args, { stateBytes: 6, least: 0, most: 4 }),
  timedelta: (args) => {
    const fields = integers(args, 3, 3)
    const [days = 0, seconds = 0, microseconds = 0] = fields ?? []
    const isNormal = Math.abs(days) <= 999_999_999 && isWithin(seconds, 0, 86_399) && isWithin(microseconds, 0, 999_999)
    return fields && isNormal ? fields : undefined
  },
  timezone: (args) => {
    const [offset, name] = args
    if (!(offset instanceof Instance) || offset.kind !== 'timedelta' || args.length > 2) return undefined
    const [days, seconds, microseconds] = offset.args
    const isWithinADay = days === 0 || (days === -1 && (seconds !== 0 || microseconds !== 0))
    return isWithinADay && (name === undefined || typeof name === 'string') ? [...args] : undefined
  },
  Decimal: (args) => {
    const text = args.length === 1 ? textOf(args[0]) : undefined
    return text !== undefined && DECIMAL.test(text) ? [text] : undefined
  },
  UUID: (args) => {
    const text = args.length === 1 ? textOf(args[0]) : undefined
    return text !== undefined && UUID.test(text) ? [text] : undefined
  },
}

const DECIMAL = /^[+-]?(?:(?=\.?\d)\d*(?:\.\d*)?(?:E[+-]?\d{1,18})?|Inf(?:inity)?|s?NaN\d*)$/i
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

/** The attributes that Python keeps of a UUID, as the argument that makes it. */
export function uuidArguments(state: Map<PythonNode, PythonNode>): PythonNode[] | undefined {
  if (state.size > 2) return undefined
  const attributes = new Map([...state].map(([name, value]) => [textOf(name), value]))
  const integer = attributes.get('int')
  // How safely it was generated: no part of its identity, so not kept.
  attributes.delete('is_safe')
  if (attributes.size !== 1 || (typeof integer !== 'number' && typeof integer !== 'bigint')) return undefined
  if (integer < 0 || integer >= 2n ** 128n) return undefined
  const hex = integer.toString(16).padStart(32, '0')
  return [hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')]
}

/** Everything that a pickle may name. A Map: names like `constructor` must not find what objects inherit. */
export const callables: ReadonlyMap<string, Callable> = new Map([
  ...SESSION_CLASSES.map((name): [string, Callable] => [`vishnu.backend.client ${name}`, sessionClass(name)]),
  ...['copy_reg', 'copyreg'].map((name): [string, Callable] => [`${name} _reconstructor`, new Callable(reconstruct)]),
  [
    '_codecs encode',
    new Callable(([text, encoding, ...rest]) =>
      encoding === 'latin1' && rest.length === 0 ? latin1(text) : undefined,
    ),
  ],
  ...['__builtin__', 'builtins'].flatMap((name): [string, Callable][] => [
    [`${name} object`, new Callable(() => undefined)],
    [`${name} bytes`, new Callable((args) => (args.length === 0 ? new Uint8Array() : undefined))],
    [`${name} set`, instanceClass('set')],
    [`${name} frozenset`, instanceClass('frozenset')],
    [`${name} bytearray`, instanceClass('bytearray')],
  ]),
  ['datetime datetime', instanceClass('datetime')],
  ['datetime date', instanceClass('date')],
  ['datetime time', instanceClass('time')],
  ['datetime timedelta', instanceClass('timedelta')],
  ['datetime timezone', instanceClass('timezone')],
  ['decimal Decimal', instanceClass('Decimal')],
  ['uuid UUID', new Callable(constructorOf('UUID'), () => new Instance('UUID', []))],
])

/** The class as Python 2 and 3 both find it. */
export const classNames: Record<InstanceKind, string> = {
  set: '__builtin__\nset\n',
  frozenset: '__builtin__\nfrozenset\n',
  bytearray: '__builtin__\nbytearray\n',
  datetime: 'datetime\ndatetime\n',
  date: 'datetime\ndate\n',
  time: 'datetime\ntime\n',
  timedelta: 'datetime\ntimedelta\n',
  timezone: 'datetime\ntimezone\n',
  Decimal: 'decimal\nDecimal\n',
  UUID: 'uuid\nUUID\n',
}

function constructorOf(kind: InstanceKind) {
  return (args: readonly PythonNode[]): PythonNode | undefined => {
    const kept = canonicalArguments[kind](args)
    return kept && new Instance(kind, kept)
  }
}

function instanceClass(kind: InstanceKind): Callable {
  return new Callable(constructorOf(kind))
}

function sessionClass(name: SessionClass): Callable {
  return new Callable(
    ([expires, lastAccessed, data, ...rest]) => {
      if (expires === undefined || lastAccessed === undefined || data === undefined || rest.length > 0) return undefined
      return new SessionObject(
        name,
        new Map([
          ['_expires', expires],
          ['_last_accessed', lastAccessed],
          ['_data', data],
        ]),
      )
    },
    () => new SessionObject(name),
  )
}

/** How protocols 0 and 1 create an object: `_reconstructor(class, object, None)`. */
function reconstruct([target, base, state, ...rest]: readonly PythonNode[]): PythonNode | undefined {
  const isPlain = callables.get('builtins object') === base || callables.get('__builtin__ object') === base
  if (!(target instanceof Callable) || !isPlain || state !== null || rest.length > 0) return undefined
  return target.create?.()
}

/** A copy: the list may grow later, the set would not. */
function itemsArgument([items = [], ...rest]: readonly PythonNode[]): PythonNode[] | undefined {
  return Array.isArray(items) && rest.length === 0 && items.every(isHashable) ? [[...items]] : undefined
}

function latin1(text: PythonNode | undefined): Uint8Array | undefined {
  if (typeof text !== 'string' || /[^\0-\xff]/.test(text)) return undefined
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

function stateBytes(node: PythonNode | undefined, length: number): Buffer | undefined {
  const bytes = node instanceof ByteString ? node.bytes : node
  return bytes instanceof Uint8Array && bytes.length === length ? Buffer.from(bytes) : undefined
}

interface MomentForm {
  stateBytes: number
  least: number
  most: number
}

/** A datetime or a time: from its numbers or from the bytes of its state, then its zone if it has one. */
function momentArguments(args: readonly PythonNode[], form: MomentForm): PythonNode[] | undefined {
  const state = stateBytes(args[0], form.stateBytes)
  const fields = state ? stateFields(state) : integers(args.slice(0, form.most), form.least, form.most)
  const zones = args.slice(state ? 1 : form.most)
  if (!fields || !isTime(fields.slice(-4)) || (fields.length === 7 && !isDate(fields))) return undefined
  if (zones.length > 1 || !zones.every(isZone)) return undefined
  return [...(state && hasFold(state) ? [new Uint8Array(state)] : fields), ...zones]
}

/** The numbers of a datetime, or of a time, in the bytes of its state. */
export function stateFields(state: Uint8Array): number[] {
  const bytes = Buffer.from(state)
  const [hour = 0, minute = 0, second = 0] = bytes.subarray(-6)
  const microsecond = bytes.readUIntBE(bytes.length - 3, 3)
  if (bytes.length === 6) return [hour & 0x7f, minute, second, microsecond]
  const [, , month = 0, day = 0] = bytes
  return [bytes.readUInt16BE(0), month & 0x7f, day, hour, minute, second, microsecond]
}

/** Which of two equal hours it is when clocks go back: the highest bit of the month or the hour. No other form can say it. */
function hasFold(state: Uint8Array): boolean {
  const [first = 0, , month = 0] = state
  return ((state.length === 6 ? first : month) & 0x80) !== 0
}

/** At least and at most so many; zero stands for what is left out. */
function integers(args: readonly PythonNode[], least: number, most: number): number[] | undefined {
  if (args.length < least || args.length > most || !args.every((arg) => Number.isSafeInteger(arg))) return undefined
  return Array.from({ length: most }, (_, index) => (args[index] ?? 0) as number)
}

function isZone(node: PythonNode): boolean {
  return node === null || (node instanceof Instance && node.kind === 'timezone')
}

function isDate([year = 0, month = 0, day = 0]: readonly number[]): boolean {
  if (!isWithin(year, 1, 9999) || !isWithin(month, 1, 12)) return false
  // The calendar repeats after 400 years, and Date.UTC takes the first hundred for others.
  return isWithin(day, 1, new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate())
}

function isTime([hour = 0, minute = 0, second = 0, microsecond = 0]: readonly number[]): boolean {
  return (
    isWithin(hour, 0, 23) && isWithin(minute, 0, 59) && isWithin(second, 0, 59) && isWithin(microsecond, 0, 999_999)
  )
}

function isWithin(number: number, least: number, most: number): boolean {
  return number >= least && number <= most
}
