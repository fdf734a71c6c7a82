/** What an operator may want to know. None of it holds an id, a cookie, a store key or a value. */
export interface SessionEvent {
  /** What happened. */
  type: 'gone' | 'conflict' | 'corrupt' | 'rejectedCookie' | 'duplicateCookie' | 'unsaved' | 'insecure' | 'backendError'
  /** One sentence that says what happened and, where something is to be mended, how. */
  message: string
  /** The session's public id, where it is known. */
  publicId?: string
  /** The error behind it, if there is one. */
  cause?: unknown
}

/** Hears of every event. Whatever it does or throws, the request goes on. */
export type EventListener = (event: SessionEvent) => void
export type Report = (type: SessionEvent['type'], message: string, details?: Partial<SessionEvent>) => void

/** Without a listener only these are told: they are mistakes of the application or of its set-up. */
const WARNED_BY_DEFAULT: ReadonlySet<SessionEvent['type']> = new Set(['unsaved', 'insecure', 'corrupt'])

/** The one channel for events. Whatever the listener does, the request goes on. */
export function createReporter(listener: EventListener | undefined): Report {
  const tell = listener ?? warnOnce()
  return (type, message, details) => {
    try {
      // An async listener's rejection must not become an unhandled one, which would end the process.
      void Promise.resolve(tell({ type, message, ...details })).catch(ignore)
    } catch {
      // A broken listener is not the visitor's problem.
    }
  }
}

function warnOnce(): EventListener {
  const warned = new Set<string>()
  return ({ type, message }) => {
    if (!WARNED_BY_DEFAULT.has(type) || warned.has(type)) return
    warned.add(type)
    process.emitWarning(message, { type: 'SessionWarning', code: `VISHNU_${type.toUpperCase()}` })
  }
}

function ignore(): void {}
