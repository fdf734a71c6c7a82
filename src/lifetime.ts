import type { Settings } from './config.js'
import { MAX_COOKIE_SECONDS } from './cookie.js'
import type { Header, RecordTimes } from './record.js'

type Clockwork = Pick<Settings, 'now' | 'timeout' | 'absoluteTimeout' | 'browserSessionTimeout' | 'touchInterval'>

/** How long sessions live. Every rule about time is here; seconds are what people set, milliseconds what clocks count. */
export class Lifetime {
  readonly #settings: Clockwork

  constructor(settings: Clockwork) {
    this.#settings = settings
  }

  /** When a session ends that is used now: epoch milliseconds. */
  deadline(header: Header): number {
    return Math.min(this.#settings.now() + this.#idleSeconds(header) * 1000, this.#absolute(header))
  }

  /** When a session that begins, or authenticates, now ends however busy it is; 0: never. */
  absoluteDeadline(): number {
    const { now, absoluteTimeout } = this.#settings
    return absoluteTimeout && now() + absoluteTimeout * 1000
  }

  isOver(header: Header): boolean {
    return this.#settings.now() >= this.#absolute(header)
  }

  /** The times of a session that ends at the deadline unless it is used, for a record that keeps them itself. */
  timesUntil(header: Header, deadline: number): RecordTimes {
    return {
      expires: this.#timeout(header) === 0 ? undefined : deadline,
      lastUsed: deadline - this.#idleSeconds(header) * 1000,
    }
  }

  /** The deadline by these times. */
  deadlineOf(header: Header, { expires, lastUsed = Infinity }: RecordTimes): number {
    return expires ?? lastUsed + this.#idleSeconds(header) * 1000
  }

  /** Whether a use of the session moves its end far enough to be worth a write. */
  touchIsDue(header: Header, deadline: number): boolean {
    const interval = this.#settings.touchInterval ?? Math.min(60, this.#idleSeconds(header) / 10)
    const gain = Math.abs(this.deadline(header) - deadline)
    return gain > 0 && gain >= interval * 1000
  }

  /** Seconds that the browser is to keep the cookie; undefined: until it closes. */
  cookieSeconds(header: Header): number | undefined {
    const idle = this.#timeout(header)
    if (idle === 0) return undefined
    const untilAbsolute = Math.floor((this.#absolute(header) - this.#settings.now()) / 1000)
    return Math.max(1, Math.min(idle, untilAbsolute, MAX_COOKIE_SECONDS))
  }

  /** Whether a cookie that the browser drops at `expires` (epoch seconds, 0: on closing) is to be sent anew. */
  cookieIsDue(header: Header, expires: number): boolean {
    const seconds = this.cookieSeconds(header)
    if (seconds === undefined) return expires !== 0
    return expires - this.#settings.now() / 1000 < seconds / 2
  }

  #timeout(header: Header): number {
    return header.timeout ?? this.#settings.timeout
  }

  #idleSeconds(header: Header): number {
    return this.#timeout(header) || this.#settings.browserSessionTimeout
  }

  #absolute(header: Header): number {
    const { absoluteTimeout } = this.#settings
    // A session from before there was an absolute timeout has none in its record.
    return header.absolute || (absoluteTimeout && header.created + absoluteTimeout * 1000) || Infinity
  }
}
