import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { historyRules } from '../src/testing/history-record.js'

const page = readFileSync('docs/guarantees.md', 'utf8')

test('every test that the guarantees name exists, under that name, in that file', () => {
  const named = Array.from(page.matchAll(/\]\(\.\.\/(test\/[\w/.-]+)\):\s+`([^`]+)`/g), ([, file = '', name = '']) => [
    file,
    name,
  ])
  expect(named.length).toBeGreaterThan(50)
  const missing = named.filter(([file = '', name = '']) => {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    return ![`'${name}'`, `"${name}"`, `\`${name}\``].some((quoted) => text.includes(quoted))
  })
  expect(missing).toEqual([])
})

test('every rule of a history is among them, word for word', () => {
  const cells = page.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  for (const [rule, words] of Object.entries(historyRules)) {
    expect(cells.map(([, first, second]) => [first, second])).toContainEqual([rule, words])
  }
})

test('the checklist of the standards has fifty items', () => {
  const numbers = Array.from(page.matchAll(/^\| (\d+) +\|/gm), ([, number]) => Number(number))
  expect(numbers).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
})
