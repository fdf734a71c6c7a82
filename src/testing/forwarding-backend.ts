import type { Backend, Entry, PlainBackend } from '../backend.js'

/** One call on its way to a backend. */
export interface BackendCall {
  readonly operation: 'read' | 'create' | 'replace' | 'touch' | 'delete'
  readonly key: string
  /** Undefined where the operation has none. */
  readonly value: Uint8Array | undefined
  readonly deadline: number | undefined
}

/** What becomes of a call. */
export type Around = <T>(call: BackendCall, run: () => Promise<T>) => Promise<T>

/** A real backend with something in front of it: what that is says `around`, once for all operations. */
export abstract class ForwardingBackend implements Backend {
  readonly maxBytes?: number
  protected readonly inner: Backend

  constructor(inner: Backend) {
    this.inner = inner
    if (inner.maxBytes !== undefined) this.maxBytes = inner.maxBytes
  }

  protected abstract around<T>(call: BackendCall, run: () => Promise<T>): Promise<T>

  read(key: string, now: number): Promise<Entry | undefined> {
    return this.around(callOf('read', key), () => this.inner.read(key, now))
  }

  create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const call = callOf('create', key, value, deadline)
    return this.around(call, () => this.inner.create(key, value, deadline, now))
  }

  replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const call = callOf('replace', key, value, deadline)
    return this.around(call, () => this.inner.replace(key, entry, value, deadline, now))
  }

  touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const call = callOf('touch', key, undefined, deadline)
    return this.around(call, () => this.inner.touch(key, entry, deadline, now))
  }

  delete(key: string): Promise<void> {
    return this.around(callOf('delete', key), () => this.inner.delete(key))
  }

  async close(): Promise<void> {
    await this.inner.close?.()
  }
}

/** The same for a backend of either layout. */
export function forwardTo<B extends Backend | PlainBackend>(inner: B, around: Around): B {
  const forwarding: Backend | PlainBackend =
    inner.layout === 'plain' ? forwardToPlain(inner, around) : new AroundBackend(inner, around)
  return forwarding as B
}

class AroundBackend extends ForwardingBackend {
  protected readonly around: Around

  constructor(inner: Backend, around: Around) {
    super(inner)
    this.around = around
  }
}

function forwardToPlain(inner: PlainBackend, around: Around): PlainBackend {
  const { maxBytes, form } = inner
  return {
    layout: 'plain',
    ...(maxBytes !== undefined && { maxBytes }),
    ...(form !== undefined && { form }),
    ...(inner.list && { list: inner.list.bind(inner) }),
    read: (key, now) => around(callOf('read', key), () => inner.read(key, now)),
    create: (key, value, deadline, now) =>
      around(callOf('create', key, value, deadline), () => inner.create(key, value, deadline, now)),
    replace: (key, entry, value, deadline, now) =>
      around(callOf('replace', key, value, deadline), () => inner.replace(key, entry, value, deadline, now)),
    delete: (key, entry) => around(callOf('delete', key), () => inner.delete(key, entry)),
    close: async () => inner.close?.(),
  }
}

function callOf(operation: BackendCall['operation'], key: string, value?: Uint8Array, deadline?: number): BackendCall {
  return { operation, key, value, deadline }
}
