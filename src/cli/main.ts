#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { cleanUp } from './cleanup.js'
import * as help from './help.js'
import { inspectInput } from './inspect.js'
import { newSecret } from './secret.js'
import { codeOf, styled, writeFailure } from './terminal.js'

/*
 * Exit codes: 0 done; 1 failed; 2 wrong usage, where trying again is no use before the command or the configuration is
 * changed; 128 and the number of the signal that ended it before it was done.
 */
const FAILED = 1
const WRONG_USAGE = 2
const WRONG_USAGE_CODES: ReadonlySet<string> = new Set(['ERR_CONFIG', 'ERR_CLIENT_MISSING'])

/** The longest wait that a timer takes, in seconds: it would take a longer one for none at all. */
const LONGEST_INTERVAL = 24 * 86_400

const program = new Command('vishnu')
  .description('Looks after the sessions of a server.')
  .version(versionOfPackage())
  .configureHelp({ styleTitle: (title) => styled('bold', title) })
  .configureOutput({ outputError: () => undefined })
  .exitOverride()
  .addHelpText('after', help.program)

program
  .command('cleanup')
  .summary('remove expired sessions from a backend that keeps them')
  .description(help.cleanup.description)
  .requiredOption('-c, --config <file>', help.config)
  .option('-e, --every <duration>', 'go on, with a pause of 30s, 10m, 1h or 1d after each round', parseInterval)
  .option('-l, --limit <count>', 'remove at most so many sessions in a round (default: all)', parseCount)
  .option('-d, --dormant-for <duration>', help.cleanup.dormantFor, parseDuration)
  .addHelpText('after', help.cleanup.examples)
  .action(async (flags) => {
    process.exitCode = await cleanUp(flags)
  })

program
  .command('inspect')
  .summary('explain a cookie or a stored record')
  .description(help.inspect.description)
  .option('-c, --config <file>', help.config)
  .option('--values', 'show the values of the session')
  .addHelpText('after', help.inspect.examples)
  .action(async (flags) => {
    process.exitCode = await inspectInput(flags)
  })

program
  .command('secret')
  .summary('print a new secret')
  .description(help.secret.description)
  .addHelpText('after', help.secret.examples)
  .action(() => {
    process.stdout.write(`${newSecret()}\n`)
  })

process.exitCode = 0
await program.parseAsync().catch(reportFailure)
// The configuration file may have opened what keeps a process alive.
process.stdout.write('', () => process.exit())

function reportFailure(error: unknown): void {
  if (error instanceof CommanderError) {
    // Commander has printed the help or the version; unless nobody asked for it, all is well.
    if (error.exitCode === 0) return
    process.exitCode = WRONG_USAGE
    if (error.code !== 'commander.help') {
      writeFailure(`${error.message.replace(/^error: /, '')} (npx vishnu --help shows how)`, 'ERR_USAGE')
    }
    return
  }
  process.exitCode = WRONG_USAGE_CODES.has(codeOf(error)) ? WRONG_USAGE : FAILED
  writeFailure(error)
}

/** In seconds. */
function parseDuration(text: string): number {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? []
  const seconds = Number(count) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? Number.NaN)
  if (seconds >= 1) return seconds
  throw new InvalidArgumentError('Write a number and its unit: 30s, 10m, 1h or 1d.')
}

function parseInterval(text: string): number {
  const seconds = parseDuration(text)
  if (seconds <= LONGEST_INTERVAL) return seconds
  throw new InvalidArgumentError('The longest wait is 24d.')
}

function parseCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count > 0) return count
  throw new InvalidArgumentError('Write a whole number from 1.')
}

function versionOfPackage(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return (manifest as { version: string }).version
}
