import { emulatorNames, findSdk, startEmulator } from './emulators.mjs'

/** Starts each emulator once, for all test files, which take a namespace of their own; or says why all are skipped. */
export default async function setUp({ provide }) {
  const sdk = findSdk()
  provide('sdk', sdk)
  if (sdk.missing) {
    process.stdout.write(`The tests on Google's emulators are skipped: ${sdk.missing}.\n`)
    return undefined
  }
  const running = await Promise.all(emulatorNames.map((name) => startEmulator(name, sdk)))
  provide('hosts', Object.fromEntries(running.map(({ name, host }) => [name, host])))
  return () => Promise.all(running.map(({ stop }) => stop()))
}
