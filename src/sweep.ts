import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Expiry, PlainBackend, Sweepable } from './backend.js'
import { callBackend } from './backend-call.js'
import { checkCleanupOptions, type CleanupOptions, type Settings } from './config.js'

/** One batch is one transaction, which keeps other writers waiting: for milliseconds, unless sessions are huge. */
const BATCH = 100

/**
 * Removes what is over, batch by batch, as far as it was over at the start. `onBatch` hears how many were removed so far.
 * A backend that is not {@link Sweepable} removes it by itself: there is nothing to do.
 */
export async function sweepBackend(
  settings: Settings,
  options: CleanupOptions,
  onBatch?: (deleted: number) => void,
): Promise<{ deleted: number; done: boolean }> {
  const { dormantFor, limit } = checkCleanupOptions(options)
  const { backend } = settings
  if (!isSweepable(backend)) return { deleted: 0, done: true }
  const expiry = expiryNow(settings, dormantFor)
  for (let deleted = 0; ;) {
    const start = performance.now()
    const batch = await callBackend(settings, () => backend.sweep(expiry, Math.min(BATCH, limit - deleted)))
    deleted += batch.deleted
    onBatch?.(deleted)
    if (batch.done || deleted >= limit) return { deleted, done: batch.done }
    // SQLite's lock goes to whoever asks first when it is free: the others get as long to ask as they had to wait.
    await sleep(performance.now() - start)
  }
}

/** How many sessions a sweep with these options would find. */
export async function countExpired(settings: Settings, options: CleanupOptions): Promise<number> {
  const { dormantFor } = checkCleanupOptions(options)
  const { backend } = settings
  return isSweepable(backend) ? callBackend(settings, () => backend.countExpired(expiryNow(settings, dormantFor))) : 0
}

export function isSweepable<B extends Backend | PlainBackend>(
  backend: B & Partial<Sweepable>,
): backend is B & Sweepable {
  return backend.sweep !== undefined && backend.countExpired !== undefined
}

function expiryNow({ now }: Settings, dormantFor: number): Expiry {
  return { now: now(), dormantBefore: now() - dormantFor * 1000 }
}
