/** Puts real cookie values in place of the placeholders of fixtures/cookie-headers.json. */
export function expandCookieHeader(header: string, cookies: { A: string; B: string }): string {
  const values: Record<string, string> = {
    '<A>': cookies.A,
    '<B>': cookies.B,
    '<A tampered>': tamper(cookies.A),
    '<A percent-encoded>': escapeEach(cookies.A, (code) => `%${code.toString(16).padStart(2, '0')}`),
    '<A octal-escaped>': escapeEach(cookies.A, (code) => `\\${code.toString(8).padStart(3, '0')}`),
    '<1000 other cookies>': Array.from({ length: 1000 }, (_, index) => `c${index}=${'x'.repeat(50)}`).join('; '),
  }
  return header.replace(/<[^>]+>/g, (placeholder) => {
    const value = values[placeholder]
    if (value === undefined) throw new Error(`Unknown placeholder ${placeholder}`)
    return value
  })
}

function tamper(value: string): string {
  const position = 5
  return `${value.slice(0, position)}${value[position] === '0' ? '1' : '0'}${value.slice(position + 1)}`
}

function escapeEach(value: string, escapeCode: (code: number) => string): string {
  return Array.from(value, (character) => escapeCode(character.charCodeAt(0))).join('')
}
