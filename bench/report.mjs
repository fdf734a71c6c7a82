import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release } from 'node:os'
import { summary } from './statistics.mjs'

const AIMS = [
  { name: 'memory: untouched', text: '≤ 2 µs beyond the floor', of: microseconds, isMet: (value) => value <= 2 },
  { name: 'memory: read 200 B', text: '≤ 10 µs beyond the floor', of: microseconds, isMet: (value) => value <= 10 },
  { name: 'memory: read 64 KB', text: '≤ 2 × the read of 200 B', of: timesSmallest, isMet: (value) => value <= 2 },
  { name: 'redis: read 200 B', text: '≥ 0.90 × a raw GET', of: rateRatio, isMet: (value) => value >= 0.9 },
  { name: 'redis: write 200 B', text: '≥ 0.85 × a raw GET + SET', of: rateRatio, isMet: (value) => value >= 0.85 },
]

const START = '<!-- tables: npm run bench -- --write docs/benchmark.md -->'
const END = '<!-- end of tables -->'

/** The results as Markdown. */
export function report(measured) {
  const cases = measured.results.map((result) => ({ ...result, rows: rowsOf(result) }))
  return [machineOf(measured), aimsTable(cases), ...cases.map(caseTable)].filter(Boolean).join('\n\n')
}

export async function writeInto(file, text) {
  const [before, rest] = (await readFile(file, 'utf8')).split(START)
  const [, after] = rest?.split(END) ?? []
  if (after === undefined) throw new Error(`${file} lacks the markers that the tables belong between`)
  const { format } = await import('prettier')
  const page = `${before}${START}\n\n${text}\n\n${END}${after}`
  await writeFile(file, await format(page, { parser: 'markdown', printWidth: 120 }))
}

/** Every contestant against its floor, round by round: what slows down a whole round then cancels out. */
function rowsOf({ contestants }) {
  const turnsOf = (name) => contestants.find((contestant) => contestant.name === name).turns
  return contestants.map(({ name, turns, floor, commands }) => {
    const floors = floor && turnsOf(floor)
    return {
      name,
      commands,
      cpu: summary(turns.map(({ cpu }) => cpu)),
      rate: summary(turns.map(({ rate }) => rate)),
      beyond: floors && summary(turns.map(({ cpu }, round) => cpu - floors[round].cpu)),
      ratio: floors && summary(turns.map(({ rate }, round) => rate / floors[round].rate)),
    }
  })
}

function machineOf({ options, redisVersion, minutes }) {
  const [processor] = cpus()
  const load = loadavg()[0].toFixed(1)
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)} in ${minutes.toFixed(1)} minutes: ${options.rounds} rounds of about`,
    `${options.sliceMs} ms a contestant${options.quick ? ' (`--quick`: coarse)' : ''}. Node ${process.versions.node}, Redis ${redisVersion},`,
    `Linux ${release()}, ${cpus().length} × ${processor?.model.trim() ?? 'unknown'}; load average at the end ${load}.`,
  ].join(' ')
}

function aimsTable(cases) {
  const rows = AIMS.flatMap((aim) => {
    const row = library(cases, aim.name)
    if (!row) return []
    const { value, shown } = aim.of(row, cases)
    return [
      [aim.name, aim.text, shown, noiseOf(cases, aim), value === undefined ? '' : aim.isMet(value) ? 'met' : 'not met'],
    ]
  })
  if (rows.length === 0) return ''
  const heads = ['case', 'aim', 'measured (half of the rounds)', 'the floor against itself', '']
  return `### Against the aims\n\n${table(heads, rows)}`
}

function microseconds({ beyond }) {
  return { value: beyond.median, shown: `${range(beyond, 1)} µs` }
}

function rateRatio({ ratio }) {
  return { value: ratio.median, shown: range(ratio, 2) }
}

function timesSmallest({ beyond }, cases) {
  const smallest = library(cases, 'memory: read 200 B')
  const value = smallest && beyond.median / smallest.beyond.median
  return {
    value,
    shown: value === undefined ? `${range(beyond, 1)} µs` : `${value.toFixed(1)} × (${beyond.median.toFixed(1)} µs)`,
  }
}

function library(cases, name) {
  return rowOf(cases, name, 'vishnu')
}

function rowOf(cases, name, contestant) {
  return cases.find((measured) => measured.name === name)?.rows.find((row) => row.name === contestant)
}

function noiseOf(cases, { name, of }) {
  const { beyond, ratio } = rowOf(cases, name, 'bare node:http again')
  return of === rateRatio ? range(ratio, 2) : `${range(beyond, 1)} µs`
}

function caseTable({ name, rows }) {
  const heads = ['', 'CPU, µs/request', 'beyond its floor, µs', 'requests/s', '× its floor', 'backend commands/request']
  return `### ${name}\n\n${table(heads, rows.map(cells))}`
}

function cells({ name, cpu, rate, beyond, ratio, commands }) {
  return [
    name,
    cpu.median.toFixed(1),
    beyond ? range(beyond, 1) : 'floor',
    Math.round(rate.median).toString(),
    ratio ? range(ratio, ratio.median < 0.1 ? 3 : 2) : '',
    Object.entries(commands)
      .map(([command, count]) => `${command} ${Number(count.toFixed(2))}`)
      .join(', '),
  ]
}

function range({ median, low, high }, digits) {
  return `${median.toFixed(digits)} (${low.toFixed(digits)} … ${high.toFixed(digits)})`
}

function table(heads, rows) {
  const line = (texts) => `| ${texts.join(' | ')} |`
  const widths = heads.map((head, column) =>
    Math.max(...[head, ...rows.map((row) => row[column])].map((cell) => cell.length)),
  )
  const padded = (row) => row.map((cell, column) => cell.padEnd(widths[column]))
  return [padded(heads), widths.map((width) => '-'.repeat(Math.max(3, width))), ...rows.map(padded)]
    .map(line)
    .join('\n')
}
