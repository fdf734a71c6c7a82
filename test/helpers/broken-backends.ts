import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Backend, Entry, Sweepable } from '../../src/index.js'

/*
 * Backends that are wrong, each in one way in which a real one has been. What they have in common is right: RightBackend
 * itself keeps every law.
 */

interface Kept {
  value: Uint8Array
  version: string
  deadline: number
}

type Replaced = Entry | 'conflict' | 'gone'
type Touched = 'touched' | 'conflict' | 'gone'

/** A right one, as plain as can be. */
export class RightBackend implements Backend {
  protected readonly kept = new Map<string, Kept>()
  protected versions = 0

  async read(key: string, now: number): Promise<Entry | undefined> {
    return this.entry(this.live(key, now))
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    return this.live(key, now) ? 'exists' : this.put(key, value, deadline)
  }

  async replace(key: string, entry: Entry, value: Uint8Array, deadline: number, now: number): Promise<Replaced> {
    const live = this.live(key, now)
    if (!live) return 'gone'
    return live.version === entry.version ? this.put(key, value, deadline) : 'conflict'
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<Touched> {
    const live = this.live(key, now)
    if (!live) return 'gone'
    if (live.version !== entry.version) return 'conflict'
    live.deadline = deadline
    return 'touched'
  }

  async delete(key: string): Promise<void> {
    this.kept.delete(key)
  }

  protected live(key: string, now: number): Kept | undefined {
    const kept = this.kept.get(key)
    return kept && kept.deadline > now ? kept : undefined
  }

  protected put(key: string, value: Uint8Array, deadline: number): Entry {
    const kept = { value: new Uint8Array(value), version: this.newVersion(deadline), deadline }
    this.kept.set(key, kept)
    return { ...kept, value: new Uint8Array(value) }
  }

  protected newVersion(_deadline: number): string {
    return String(++this.versions)
  }

  protected entry(kept: Kept | undefined): Entry | undefined {
    return kept && { ...kept, value: new Uint8Array(kept.value) }
  }
}

class LastWriteWins extends RightBackend {
  override async replace(key: string, _: Entry, value: Uint8Array, deadline: number): Promise<Replaced> {
    return this.put(key, value, deadline)
  }
}

class ChecksThenSets extends RightBackend {
  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    const live = this.live(key, now)
    if (!live) return 'gone'
    if (live.version !== entry.version) return 'conflict'
    await nextTurn()
    return this.put(key, value, deadline)
  }
}

class TouchRewrites extends RightBackend {
  override async touch(key: string, entry: Entry, deadline: number, now: number): Promise<Touched> {
    if (!this.live(key, now)) return 'gone'
    this.put(key, entry.value, deadline)
    return 'touched'
  }
}

class NoDeadlineAtBirth extends RightBackend {
  override async create(key: string, value: Uint8Array, _: number, now: number): Promise<Entry | 'exists'> {
    return this.live(key, now) ? 'exists' : this.put(key, value, Infinity)
  }
}

class ReplaceCreates extends RightBackend {
  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    return this.live(key, now) ? super.replace(key, entry, value, deadline, now) : this.put(key, value, deadline)
  }
}

class CreateOverwrites extends RightBackend {
  override async create(key: string, value: Uint8Array, deadline: number): Promise<Entry> {
    return this.put(key, value, deadline)
  }
}

class SwapsReplies extends RightBackend {
  #reads = 0
  #last: Entry | undefined

  override async read(key: string, now: number): Promise<Entry | undefined> {
    const own = await super.read(key, now)
    const [answer, last] = [++this.#reads % 20 === 0 ? this.#last : own, this.#last]
    this.#last = own ?? last
    return answer
  }
}

class ConflictIsSuccess extends RightBackend {
  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    const outcome = await super.replace(key, entry, value, deadline, now)
    return outcome === 'conflict' ? { ...entry, value } : outcome
  }
}

class GoneIsConflict extends RightBackend {
  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    const outcome = await super.replace(key, entry, value, deadline, now)
    return outcome === 'gone' ? 'conflict' : outcome
  }
}

class VersionsRepeat extends RightBackend {
  protected override newVersion(deadline: number): string {
    return String(deadline)
  }
}

class LocalTime extends RightBackend {
  protected override live(key: string, now: number): Kept | undefined {
    const kept = this.kept.get(key)
    // As if the server were eight hours east of what it takes the stored times for.
    if (kept && kept.deadline <= Date.now() + 8 * 3_600_000) this.kept.delete(key)
    return super.live(key, now)
  }
}

class IgnoresDeadline extends RightBackend {
  protected override live(key: string): Kept | undefined {
    return this.kept.get(key)
  }
}

class ThirtyDays extends RightBackend {
  override async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    return super.create(key, value, this.#asServerTakesIt(deadline, now), now)
  }

  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    return super.replace(key, entry, value, this.#asServerTakesIt(deadline, now), now)
  }

  /** Memcached takes more than thirty days of seconds for a date: one in 1970. */
  #asServerTakesIt(deadline: number, now: number): number {
    return deadline - now > 30 * 86_400_000 ? 0 : deadline
  }
}

class SharedBuffers extends RightBackend {
  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    const kept = { value, version: this.newVersion(deadline), deadline }
    this.kept.set(key, kept)
    return { ...kept }
  }

  protected override entry(kept: Kept | undefined): Entry | undefined {
    return kept && { ...kept }
  }
}

class TextColumn extends RightBackend {
  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    return super.put(key, Buffer.from(Buffer.from(value).toString('utf8')), deadline)
  }
}

/** Dates without a zone, which each server takes for its own. */
class LocalDates extends RightBackend {
  readonly #dates = new Map<string, number[]>()

  protected override live(key: string, now: number): Kept | undefined {
    const kept = this.kept.get(key)
    const [year = 0, month = 0, ...rest] = this.#dates.get(key) ?? []
    return kept && new Date(year, month, ...rest).getTime() > now ? kept : undefined
  }

  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    const date = new Date(deadline)
    const time = [date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds()]
    this.#dates.set(key, [date.getFullYear(), date.getMonth(), date.getDate(), ...time])
    return super.put(key, value, deadline)
  }
}

/** As caches do that are made for other things. */
class DropsTheOldest extends RightBackend {
  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    const [oldest] = this.kept.keys()
    if (this.kept.size >= 100 && oldest !== undefined) this.kept.delete(oldest)
    return super.put(key, value, deadline)
  }
}

class SweepsTheLiving extends RightBackend implements Sweepable {
  async sweep(): Promise<{ deleted: number; done: boolean }> {
    const deleted = this.kept.size
    this.kept.clear()
    return { deleted, done: true }
  }

  async countExpired(): Promise<number> {
    return 0
  }
}

class SweepsNothing extends RightBackend implements Sweepable {
  async sweep(): Promise<{ deleted: number; done: boolean }> {
    return { deleted: 0, done: true }
  }

  async countExpired(): Promise<number> {
    return 0
  }
}

/** It says that it takes more than its column does, which cuts off the rest. */
class PromisesTooMuch extends RightBackend {
  readonly maxBytes = 65_536

  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    return super.put(key, value.subarray(0, 65_535), deadline)
  }
}

class NumericKeys extends RightBackend {
  protected override live(key: string, now: number): Kept | undefined {
    return super.live(this.#stored(key), now)
  }

  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    return super.put(this.#stored(key), value, deadline)
  }

  #stored(key: string): string {
    return /^\d+$/.test(key) ? String(Number(key)) : key
  }
}

/** Of two touches at once one is refused, as by a compare-and-set of the deadline too. */
class TouchesInTurn extends RightBackend {
  readonly #touching = new Set<string>()

  override async touch(key: string, entry: Entry, deadline: number, now: number): Promise<Touched> {
    if (this.#touching.has(key)) return 'conflict'
    this.#touching.add(key)
    await nextTurn()
    this.#touching.delete(key)
    return super.touch(key, entry, deadline, now)
  }
}

class CaseInsensitiveKeys extends RightBackend {
  protected override live(key: string, now: number): Kept | undefined {
    return super.live(key.toLowerCase(), now)
  }

  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    return super.put(key.toLowerCase(), value, deadline)
  }
}

class WritesBehind extends RightBackend {
  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    const entry = { value: new Uint8Array(value), version: this.newVersion(deadline), deadline }
    void nextTurn().then(() => this.kept.set(key, { ...entry }))
    return { ...entry, value: new Uint8Array(value) }
  }
}

/** Its server fails over to a copy that has not got the last write. */
class LosesAcknowledgedWrites extends RightBackend {
  #writes = 0

  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    const before = this.live(key, now)
    const outcome = await super.replace(key, entry, value, deadline, now)
    if (typeof outcome === 'object' && before && ++this.#writes % 50 === 0) this.kept.set(key, before)
    return outcome
  }
}

/** Reads come from a copy that lags behind. */
class LaggingReplica extends RightBackend {
  readonly #replica = new Map<string, Kept>()
  #calls = 0

  override async read(key: string, now: number): Promise<Entry | undefined> {
    if (++this.#calls % 10 === 0) for (const [name, kept] of this.kept) this.#replica.set(name, { ...kept })
    const kept = this.#replica.get(key) ?? this.kept.get(key)
    return kept && kept.deadline > now ? this.entry(kept) : undefined
  }
}

/** A cache in front, which a slow read fills with what was there before a write emptied it. */
class StaleCacheFill extends RightBackend {
  readonly #cache = new Map<string, Kept>()
  #reads = 0

  override async read(key: string, now: number): Promise<Entry | undefined> {
    if (++this.#reads % 20 === 0) this.#cache.clear()
    const cached = this.#cache.get(key)
    if (cached && cached.deadline > now) return this.entry(cached)
    const kept = this.live(key, now)
    await nextTurn()
    if (kept) this.#cache.set(key, { ...kept })
    return this.entry(kept)
  }

  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    this.#cache.delete(key)
    return super.put(key, value, deadline)
  }
}

/** Its client sends again when the connection is lost, and passes on what the second run says. */
class SendsAgain extends RightBackend {
  #writes = 0

  override async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Replaced> {
    const outcome = await super.replace(key, entry, value, deadline, now)
    if (++this.#writes % 10 !== 0) return outcome
    await nextTurn()
    return super.replace(key, entry, value, deadline, now)
  }
}

/** It has no touch, so it writes what it reads: as text. */
class TouchWritesText extends RightBackend {
  override async touch(key: string, entry: Entry, deadline: number, now: number): Promise<Touched> {
    const live = this.live(key, now)
    if (live && live.version === entry.version) live.value = Buffer.from(Buffer.from(live.value).toString('utf8'))
    return super.touch(key, entry, deadline, now)
  }
}

/** Its server keeps what it was given for as long as the deadline is away, by a clock of its own; a create alone is kept longer. */
class NoSlackAfterTouch extends RightBackend {
  readonly #removals = new Map<string, number>()

  override async touch(key: string, entry: Entry, deadline: number, now: number): Promise<Touched> {
    const outcome = await super.touch(key, entry, deadline, now)
    if (outcome === 'touched') this.#removals.set(key, performance.now() + deadline - now)
    return outcome
  }

  protected override live(key: string, now: number): Kept | undefined {
    if ((this.#removals.get(key) ?? Infinity) < performance.now()) this.kept.delete(key)
    return super.live(key, now)
  }

  protected override put(key: string, value: Uint8Array, deadline: number): Entry {
    this.#removals.delete(key)
    return super.put(key, value, deadline)
  }
}

/** Of an entry that has taken an expired one's place it tells the version of that one. */
class TellsTheExpiredVersion extends RightBackend {
  override async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const before = this.kept.get(key)
    const outcome = await super.create(key, value, deadline, now)
    return before && outcome !== 'exists' ? { ...outcome, version: before.version } : outcome
  }
}

/** A touch to this very moment means to it that nothing is to be done. */
class TouchToNowDoesNothing extends RightBackend {
  override async touch(key: string, entry: Entry, deadline: number, now: number): Promise<Touched> {
    const kept = this.live(key, now)?.deadline
    return super.touch(key, entry, deadline > now ? deadline : (kept ?? deadline), now)
  }
}

/** By name, in the words of the bug. */
export const brokenBackends = {
  'an upsert: the last write wins, and creates what is gone': () => new LastWriteWins(),
  'a check, then a set': () => new ChecksThenSets(),
  'a touch that writes the value along': () => new TouchRewrites(),
  'no deadline for what is created': () => new NoDeadlineAtBirth(),
  'a replace that creates what is gone': () => new ReplaceCreates(),
  'a create that overwrites': () => new CreateOverwrites(),
  "now and then the reply to another one's read": () => new SwapsReplies(),
  'a conflict reported as success': () => new ConflictIsSuccess(),
  'gone reported as a conflict': () => new GoneIsConflict(),
  'versions that repeat': () => new VersionsRepeat(),
  'a clean-up by local time': () => new LocalTime(),
  'deadlines that nobody looks at': () => new IgnoresDeadline(),
  'more than thirty days taken for a date': () => new ThirtyDays(),
  'buffers shared with the caller': () => new SharedBuffers(),
  'values in a text column': () => new TextColumn(),
  'keys regardless of case': () => new CaseInsensitiveKeys(),
  'keys of digits taken for numbers': () => new NumericKeys(),
  'dates in the time zone of each server': () => new LocalDates(),
  'the oldest of a hundred entries dropped, without saying so': () => new DropsTheOldest(),
  'a sweep that removes the living': () => new SweepsTheLiving(),
  'a sweep that removes nothing': () => new SweepsNothing(),
  'a limit that is a byte too high': () => new PromisesTooMuch(),
  'touches that get in the way of each other': () => new TouchesInTurn(),
  'a touch that writes the value as text': () => new TouchWritesText(),
  "a touch after which the server's own clock ends the session": () => new NoSlackAfterTouch(),
  'the version of an expired entry told for its successor': () => new TellsTheExpiredVersion(),
  'a touch that ends nothing': () => new TouchToNowDoesNothing(),
  'acknowledged before it is stored': () => new WritesBehind(),
  'acknowledged writes lost in a failover': () => new LosesAcknowledgedWrites(),
  'reads from a copy that lags behind': () => new LaggingReplica(),
  'a cache that a slow read fills with the past': () => new StaleCacheFill(),
  'a client that sends writes again': () => new SendsAgain(),
} satisfies Record<string, () => Backend>
