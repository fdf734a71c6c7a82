import type { Backend, Entry } from '../backend.js'

/** One call on its way to a backend. */
export interface BackendCall {
  readonly operation: 'read' | 'create' | 'replace' | 'touch' | 'delete'
  readonly key: string
  /** Undefined where the operation has none. */
  readonly value: Uint8Array | undefined
  readonly deadline: number | undefined
}

/** A real backend with something in front of it: what that is says `around`, once for all operations. */
export abstract class ForwardingBackend implements Backend {
  protected readonly inner: Backend

  constructor(inner: Backend) {
    this.inner = inner
  }

  protected abstract around<T>(call: BackendCall, run: () => Promise<T>): Promise<T>

  read(key: string, now: number): Promise<Entry | undefined> {
    return this.#forward('read', key, undefined, undefined, () => this.inner.read(key, now))
  }

  create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    return this.#forward('create', key, value, deadline, () => this.inner.create(key, value, deadline, now))
  }

  replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    return this.#forward('replace', key, value, deadline, () => this.inner.replace(key, entry, value, deadline, now))
  }

  touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    return this.#forward('touch', key, undefined, deadline, () => this.inner.touch(key, entry, deadline, now))
  }

  delete(key: string): Promise<void> {
    return this.#forward('delete', key, undefined, undefined, () => this.inner.delete(key))
  }

  #forward<T>(
    operation: BackendCall['operation'],
    key: string,
    value: Uint8Array | undefined,
    deadline: number | undefined,
    run: () => Promise<T>,
  ): Promise<T> {
    return this.around({ operation, key, value, deadline }, run)
  }
}
