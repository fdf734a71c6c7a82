import { type BackendCall, ForwardingBackend } from '../../src/testing/forwarding-backend.js'

export type Operation = BackendCall['operation']

export interface Call {
  readonly operation: Operation
  readonly key: string
  /** As text; undefined where the operation has none. */
  readonly value: string | undefined
  readonly deadline: number | undefined
}

type Interceptor = (proceed: () => Promise<unknown>) => Promise<unknown>

/** Notes what a real backend is asked to do, and holds up or breaks single calls. */
export class WatchedBackend extends ForwardingBackend {
  readonly calls: Call[] = []
  readonly #interceptors: { operation: Operation; intercept: Interceptor }[] = []

  operations(): Operation[] {
    return this.calls.map(({ operation }) => operation)
  }

  /** Forgets the calls so far. */
  reset(): void {
    this.calls.length = 0
  }

  lastCall(operation: Operation): Call {
    const call = this.calls.findLast((candidate) => candidate.operation === operation)
    if (!call) throw new Error(`The backend was not asked to ${operation}`)
    return call
  }

  /** What a key holds now, as text. */
  async text(key: string, now: number): Promise<string | undefined> {
    const entry = await this.inner.read(key, now)
    return textOf(entry?.value)
  }

  /** Does something else in place of the next call of an operation. */
  interceptNext(operation: Operation, intercept: Interceptor): void {
    this.#interceptors.push({ operation, intercept })
  }

  /** Stops the next call of an operation before it begins, until it is released. */
  parkNext(operation: Operation): { reached: Promise<void>; release: () => void } {
    const { promise: reached, resolve: reach } = promiseWithResolver()
    const { promise: released, resolve: release } = promiseWithResolver()
    this.interceptNext(operation, async (proceed) => {
      reach()
      await released
      return proceed()
    })
    return { reached, release }
  }

  /** Lets the next calls of an operation fail, `times` in a row, before they do anything. */
  failNext(operation: Operation, times = 1, error: Error = new Error('connection lost')): void {
    for (let time = 0; time < times; time++) this.interceptNext(operation, () => Promise.reject(error))
  }

  /** Lets the next call of an operation succeed and its reply be lost. */
  loseNextReply(operation: Operation): void {
    this.interceptNext(operation, async (proceed) => {
      await proceed()
      throw new Error('connection lost')
    })
  }

  protected async around<T>({ value, ...call }: BackendCall, proceed: () => Promise<T>): Promise<T> {
    this.calls.push({ ...call, value: textOf(value) })
    const index = this.#interceptors.findIndex(({ operation }) => operation === call.operation)
    const [interceptor] = index === -1 ? [] : this.#interceptors.splice(index, 1)
    return interceptor ? ((await interceptor.intercept(proceed)) as T) : proceed()
  }
}

function textOf(value: Uint8Array | undefined): string | undefined {
  return value && new TextDecoder().decode(value)
}

function promiseWithResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((settle) => (resolve = settle))
  return { promise, resolve }
}
