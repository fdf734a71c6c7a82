import { styleText } from 'node:util'
import { messageOf } from '../errors.js'

/**
 * Text of unknown origin, harmless to a terminal: control characters could move the cursor, rename the window or type for
 * the user; format characters could reverse the reading direction.
 */
export function harmless(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16)
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`
  })
}

/** Tells what went wrong in one line: its code, and what to do. */
export function writeFailure(error: unknown, code: string = codeOf(error)): void {
  const message = messageOf(error)
    // Of URLs, whoever has passed or configured them.
    .replace(/\/\/[^\s/@]*@/g, '//***@')
    .trim()
    .replace(/\s*\n\s*/g, ' ')
  process.stderr.write(`vishnu: ${harmless(`${code}: ${message}`)}\n`)
}

export function codeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' ? code : 'ERR_UNEXPECTED'
}

/** For standard output. Plain where that is no terminal, or where `NO_COLOR` or `TERM=dumb` ask for it. */
export function styled(style: 'bold' | 'dim', text: string): string {
  const hasColors = process.stdout.isTTY && process.stdout.hasColors()
  return hasColors ? styleText(style, text) : text
}

const BAR_WIDTH = 30
const CLEAR_LINE = '\r\x1b[K'

/** A line on a terminal's standard error that is drawn over and over. */
export class ProgressBar {
  readonly #total: number

  constructor(total: number) {
    this.#total = total
  }

  show(count: number): void {
    // More may have expired since the total was counted, and nothing is all of nothing.
    const part = Math.min(count / (this.#total || 1), 1)
    const filled = Math.floor(part * BAR_WIDTH)
    const bar = '#'.repeat(filled) + '-'.repeat(BAR_WIDTH - filled)
    const line = `[${bar}] ${Math.floor(part * 100)}% ${grouped(count)} of ${grouped(this.#total)}`
    // A line that wraps could not be drawn over. Some pseudo-terminals have no width.
    process.stderr.write(CLEAR_LINE + line.slice(0, (process.stderr.columns || 80) - 1))
  }

  clear(): void {
    process.stderr.write(CLEAR_LINE)
  }
}

/** 1,234,567 whatever the locale. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US')
}
