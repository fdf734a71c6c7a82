// Usage: npm run bench -- [--quick] [--only <text>] [--against <folder>] [--write docs/benchmark.md]
//
// What is measured and how to read it: docs/benchmark.md.
import { parseArgs } from 'node:util'
import { prepare } from './prepare.mjs'

const { values: options } = parseArgs({
  options: {
    /** Coarse, in under 90 seconds. */
    quick: { type: 'boolean', default: false },
    /** Only the cases whose name has this text in it: `--only redis`, `--only "read 64 KB"`. */
    only: { type: 'string', default: '' },
    /** Only the library and its floors. */
    'no-peers': { type: 'boolean', default: false },
    /** The `dist` of another build of the library, to be measured beside this one: before and after a change. */
    against: { type: 'string' },
    /** Puts the tables between the markers of this file. */
    write: { type: 'string' },
    rounds: { type: 'string' },
  },
})

// The processes and the folder that this one has made end with it, however it is stopped.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

// Imported only now: what follows needs the packages that this installs.
await prepare()
const { measureAll } = await import('./measure.mjs')
const { report, writeInto } = await import('./report.mjs')

const results = await measureAll({
  ...options,
  peers: !options['no-peers'],
  rounds: Number(options.rounds ?? (options.quick ? 5 : 9)),
  sliceMs: options.quick ? 80 : 150,
  warmUpMs: options.quick ? 1200 : 1500,
})
const text = report(results)
process.stdout.write(`\n${text}\n`)
if (options.write) await writeInto(options.write, text)
