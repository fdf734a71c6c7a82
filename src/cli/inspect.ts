import { Buffer } from 'node:buffer'
import { findCookies } from '../cookie.js'
import type { Settings } from '../config.js'
import { explainCookie, type GivenCookie, isCookieValue } from './explain-cookie.js'
import { explainRecord, findRecord } from './explain-record.js'
import { type Explanation, InputError } from './explanation.js'
import { loadSettings } from './load-settings.js'
import { harmless, styled } from './terminal.js'

export interface InspectFlags {
  readonly config?: string
  readonly values?: boolean
}

/** Longer than a record may sensibly be; what is piped in by mistake should not fill the memory. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024
/** A session's key is a label, and may be as long as the application likes. */
const WIDEST_LABEL = 30

/** Resolves to the exit code. */
export async function inspectInput({ config, values = false }: InspectFlags): Promise<number> {
  const settings = config === undefined ? undefined : await loadSettings(config)
  try {
    const { text, isSound } = await explain(await readInput(), settings, values)
    process.stdout.write(text)
    return isSound ? 0 : 1
  } finally {
    await settings?.backend.close?.()
  }
}

async function readInput(): Promise<Buffer> {
  if (process.stdin.isTTY) process.stderr.write('Paste a cookie or a record, then press Enter and Ctrl+D.\n')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_INPUT_BYTES) throw new InputError('standard input is longer than 16 MiB: no cookie or record is')
  }
  return Buffer.concat(chunks)
}

/** The explanation as it is printed. The input may be anything; rejects with `ERR_INPUT` if there is nothing to explain. */
export async function explain(
  input: Buffer,
  settings: Settings | undefined,
  showValues: boolean,
): Promise<{ text: string; isSound: boolean }> {
  const record = findRecord(input)
  const explanations = record ? [explainRecord(record, showValues)] : await explainCookies(input, settings, showValues)
  return {
    text: explanations.map(textOf).join('\n'),
    isSound: explanations.every(({ isSound }) => isSound),
  }
}

async function explainCookies(
  input: Buffer,
  settings: Settings | undefined,
  showValues: boolean,
): Promise<Explanation[]> {
  const cookies = findGivenCookies(input.toString('utf8').trim(), settings)
  if (cookies.length === 0) {
    const wanted = settings ? `a cookie named ${settings.cookie.name}` : 'a cookie of ours'
    throw new InputError(`standard input holds neither ${wanted} nor a stored record`)
  }
  const explanations = await Promise.all(cookies.map((cookie) => explainCookie(cookie, settings, showValues)))
  return explanations.flat()
}

const HEADER_LINE = /^[<>* \t]*(set-)?cookie:(.*)$/gim

/** The cookies to explain in a cookie's value, the value of a header, or any number of header lines as `curl` shows them. */
function findGivenCookies(text: string, settings: Settings | undefined): GivenCookie[] {
  if (isCookieValue(text) || settings?.dialect.open(text))
    return [{ name: undefined, value: text, attributes: undefined }]
  const lines = [...text.matchAll(HEADER_LINE)]
  const isSetCookie = /;\s*(path|max-age|expires|httponly|secure|samesite)\b/i.test(text)
  const headers =
    lines.length > 0 ? lines.map(([, set, value = '']) => ({ set, value })) : [{ set: isSetCookie, value: text }]
  return headers.flatMap(({ set, value }) =>
    set ? value.split(NEXT_COOKIE).flatMap((line) => cookieSetBy(line, settings)) : cookiesSentBy(value, settings),
  )
}

/** Many programs show all Set-Cookie headers as one, with commas. A date has one, too, but no name behind it. */
const NEXT_COOKIE = /,(?=[^;,=]*=)/
/** What is no attribute may be another cookie, which is not to be shown. */
const ATTRIBUTE = /^((path|domain|expires|max-age|samesite|priority)=|(secure|httponly|partitioned)$)/i

function cookieSetBy(header: string, settings: Settings | undefined): GivenCookie[] {
  const [pair = '', ...attributes] = header.split(';').map((part) => part.trim())
  const { name, value } = parsePair(pair)
  const isOurs = settings ? name === settings.cookie.name : isCookieValue(value)
  return isOurs ? [{ name, value, attributes: attributes.filter((text) => ATTRIBUTE.test(text)) }] : []
}

function cookiesSentBy(header: string, settings: Settings | undefined): GivenCookie[] {
  const pairs = settings
    ? findCookies(header, settings.cookie.name).map((value) => ({ name: settings.cookie.name, value }))
    : header
        .split(/[;,]/)
        .map(parsePair)
        .filter(({ value }) => isCookieValue(value))
  return pairs.map((pair) => ({ ...pair, attributes: undefined }))
}

function parsePair(pair: string): { name: string; value: string } {
  const equals = pair.indexOf('=')
  return { name: pair.slice(0, Math.max(equals, 0)).trim(), value: pair.slice(equals + 1).trim() }
}

function textOf({ title, facts }: Explanation): string {
  const width = Math.min(Math.max(...facts.map(([label]) => label.length), 0), WIDEST_LABEL) + 2
  const lines = facts.map(([label, text]) => `  ${styled('dim', harmless(label).padEnd(width))}${harmless(text)}`)
  return `${[styled('bold', harmless(title)), ...lines].join('\n')}\n`
}
