import { canonicalArguments, stateFields } from './python-classes.js'
import { Instance, type PythonNode } from './python-nodes.js'

/** Epoch milliseconds of a datetime. Without a time zone it is in UTC. Microseconds are cut off. */
export function instantOf({ args }: Instance): number {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, microsecond = 0] = fieldsOf(args, 7)
  // Date.UTC would take the years 0 to 99 for those of the twentieth century.
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  const time = date.setUTCHours(hour, minute, second)
  const zone = zoneOf(args, 7)
  return time + Math.floor((microsecond - (zone ? offsetOf(zone) : 0)) / 1000)
}

export function isNaiveDateTime({ kind, args }: Instance): boolean {
  return kind === 'datetime' && !zoneOf(args, 7)
}

/** In UTC; undefined outside of the years 1 to 9999, which are all that Python has. */
export function naiveDateTime(time: number): Instance | undefined {
  const date = new Date(time)
  const day = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()]
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), date.getUTCMilliseconds() * 1000]
  const args = canonicalArguments.datetime([...day, ...clock])
  return args && new Instance('datetime', args)
}

export type MomentKind = 'datetime' | 'date' | 'time'

/** As Python's `isoformat` writes it. */
export function momentText(kind: MomentKind, args: readonly PythonNode[]): string {
  if (kind === 'date') return dateText(args)
  const count = kind === 'time' ? 4 : 7
  const fields = fieldsOf(args, count)
  const time = timeText(fields.slice(-4)) + offsetText(zoneOf(args, count))
  return kind === 'time' ? time : `${dateText(fields)}T${time}`
}

/** The arguments that {@link momentText} would give the text for; undefined if it is spelled otherwise. */
export function momentArguments(kind: MomentKind, text: string): PythonNode[] | undefined {
  const { date, time, offset } = MOMENT.exec(text)?.groups ?? {}
  const fields = [...numbers(date), ...numbers(time?.padEnd('00:00:00'.length + 1, '.').padEnd(15, '0'))]
  const zone = offset === undefined ? [] : timezone(offset)
  const args = zone && canonicalArguments[kind]([...fields, ...zone])
  return args && momentText(kind, args) === text ? args : undefined
}

const MOMENT =
  /^(?<date>\d{4}-\d\d-\d\d)?T?(?<time>\d\d:\d\d:\d\d(?:\.\d{6})?)?(?<offset>[+-]\d\d:\d\d(?::\d\d(?:\.\d{6})?)?)?$/
const MICROSECONDS_A_DAY = 86_400 * 1_000_000

function numbers(text = ''): number[] {
  return (text.match(/\d+/g) ?? []).map(Number)
}

/** As an argument to follow others; undefined if it is a day or more. */
function timezone(offset: string): [Instance] | undefined {
  const [hours = 0, minutes = 0, seconds = 0, microseconds = 0] = numbers(offset)
  const size = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + microseconds
  const total = offset.startsWith('-') ? -size : size
  const days = Math.floor(total / MICROSECONDS_A_DAY)
  const rest = total - days * MICROSECONDS_A_DAY
  const delta = new Instance('timedelta', [days, Math.floor(rest / 1_000_000), rest % 1_000_000])
  const args = canonicalArguments.timezone([delta])
  return args && [new Instance('timezone', args)]
}

function fieldsOf(args: readonly PythonNode[], count: number): number[] {
  const [state] = args
  return state instanceof Uint8Array ? stateFields(state) : (args.slice(0, count) as number[])
}

function zoneOf(args: readonly PythonNode[], count: number): Instance | undefined {
  const last = args[args[0] instanceof Uint8Array ? 1 : count]
  return last instanceof Instance ? last : undefined
}

function dateText([year, month, day]: readonly PythonNode[]): string {
  return `${digits(year, 4)}-${digits(month)}-${digits(day)}`
}

function timeText([hour, minute, second, microsecond]: readonly PythonNode[]): string {
  const fraction = microsecond ? `.${digits(microsecond, 6)}` : ''
  return `${digits(hour)}:${digits(minute)}:${digits(second)}${fraction}`
}

/** In microseconds. */
function offsetOf(zone: Instance): number {
  const [days, seconds, microseconds] = (zone.args[0] as Instance).args as [number, number, number]
  return (days * 86_400 + seconds) * 1_000_000 + microseconds
}

/** As Python writes it: `+05:30`, with seconds and microseconds where there are any. */
function offsetText(zone: Instance | undefined): string {
  if (!zone) return ''
  const offset = offsetOf(zone)
  const size = Math.abs(offset)
  const second = Math.floor(size / 1_000_000)
  const text = timeText([Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60, size % 1_000_000])
  return (offset < 0 ? '-' : '+') + text.replace(/:00$/, '')
}

function digits(number: PythonNode | undefined, count = 2): string {
  return String(Number(number)).padStart(count, '0')
}
