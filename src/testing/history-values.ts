import { COUNTER } from './history-plan.js'
import type { Lineage, Read, Register, Step, Violation, Write } from './history-record.js'
import { countBelow, Running } from './history-running.js'

/*
 * A key of a session is a register: of the writes and reads of it, each somewhere within its span, there must be an order
 * in which every read tells the write before it. Since every stored value is unique, a read tells which write that is,
 * and no order has to be searched for: it is enough that no value was current both before and after another that had been
 * acknowledged in between (P. Gibbons and E. Korach, "Testing Shared Memories", 1997).
 */

export function* checkRegisters(lineage: Lineage): Generator<Violation> {
  for (const [key, register] of lineage.registers) {
    const written = new Map<string, Write>()
    for (const write of register.writes) if (write.tag !== undefined) written.set(write.tag, write)
    yield* checkOrigins(key, register, written)
    yield* checkAbsences(key, register)
    yield* checkZones(key, register, written)
    if (key === COUNTER) yield* checkCounts(lineage, register, written)
  }
}

function* checkOrigins(key: string, { reads }: Register, written: ReadonlyMap<string, Write>): Generator<Violation> {
  for (const read of reads) {
    if (read.tag === undefined) continue
    const write = written.get(read.tag)
    if (write && write.start < read.end) continue
    const message = `${key} is ${read.tag}, which was not stored in this session`
    yield { rule: 'no session of another visitor', message, steps: [read.step, ...(write ? [write.step] : [])] }
  }
}

/** A key that is missing must have been removed, or never set, since the last value that was acknowledged. */
function* checkAbsences(key: string, { writes, reads }: Register): Generator<Violation> {
  const latestSet = new Running(
    writes.filter(({ tag }) => tag !== undefined),
    'end',
    ({ start }) => start,
  )
  const latestRemoval = new Running(
    writes.filter(({ tag }) => tag === undefined),
    'start',
    ({ end }) => end,
  )
  for (const read of reads) {
    if (read.tag !== undefined) continue
    const set = latestSet.before(read.start)
    if (!set || (latestRemoval.before(read.end)?.end ?? -1) >= set.start) continue
    const message = `${key} was stored as ${set.tag}, and is missing`
    yield { rule: 'nothing is reverted', message, steps: [set.step, read.step] }
  }
}

/** From when a value was stored for sure until somebody last read it. */
interface Zone {
  readonly start: number
  readonly end: number
  readonly write: Write
  readonly read: Read
}

function* checkZones(
  key: string,
  { writes, reads }: Register,
  written: ReadonlyMap<string, Write>,
): Generator<Violation> {
  const lastReads = new Map<string, Read>()
  for (const read of reads) {
    if (read.tag === undefined) continue
    const last = lastReads.get(read.tag)
    if (!last || read.start > last.start) lastReads.set(read.tag, read)
  }
  const zones: Zone[] = []
  for (const [tag, read] of lastReads) {
    const write = written.get(tag)
    if (write && write.end < read.start) zones.push({ start: write.end, end: read.start, write, read })
  }

  const overwritten = new Running(writes, 'end', ({ start }) => start)
  for (const { start, end, write, read } of zones) {
    const other = overwritten.before(end)
    if (!other || other === write || other.start <= start) continue
    const what = other.tag === undefined ? 'removed' : `stored as ${other.tag}`
    const message = `${key} is ${write.tag} still or again, after it was ${what}`
    yield { rule: 'nothing is reverted', message, steps: [write.step, other.step, read.step] }
  }

  let reaching: Zone | undefined
  for (const zone of zones.toSorted((one, other) => one.start - other.start)) {
    if (reaching && zone.start < reaching.end) {
      const message = `${key} was ${reaching.write.tag} and ${zone.write.tag} by turns, after both were stored`
      const steps = [reaching.write.step, zone.write.step, reaching.read.step, zone.read.step]
      yield { rule: 'nothing is reverted', message, steps }
    }
    if (!reaching || zone.end > reaching.end) reaching = zone
  }
}

function* checkCounts(
  { wasCleared }: Lineage,
  { writes, reads }: Register,
  written: ReadonlyMap<string, Write>,
): Generator<Violation> {
  const seen = new Set(reads.map(({ tag }) => tag))
  const builtOn = new Map<string | undefined, Step>()
  for (const write of writes) {
    if (!write.isUpdate || (write.base === undefined && wasCleared)) continue
    const hasHappened = write.end < Infinity || seen.has(write.tag)
    if (!hasHappened) continue
    const rival = builtOn.get(write.base)
    if (rival) {
      const base = write.base === undefined ? [] : [written.get(write.base)?.step].filter((step) => step !== undefined)
      const message = `Two updates were built on ${write.base === undefined ? 'no value' : write.base}: one is lost`
      yield { rule: 'updates count once', message, steps: [...base, rival, write.step] }
    }
    builtOn.set(write.base, write.step)
  }
  if (wasCleared) return

  const updates = writes.filter(({ isUpdate }) => isUpdate)
  const resolved = updates.map(({ end }) => end).toSorted((one, other) => one - other)
  const begun = updates.map(({ start }) => start).toSorted((one, other) => one - other)
  for (const { count, start, end, step } of reads) {
    const [least, most] = [countBelow(resolved, start), countBelow(begun, end)]
    if (count >= least && count <= most) continue
    const message = `The counter says ${count}, but ${least} updates had resolved and ${most} had begun`
    const steps = updates.filter((update) => update.start < end).map((update) => update.step)
    yield { rule: 'updates count once', message, steps: [...steps.slice(-5), step] }
  }
}
