import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Budget } from '../src/budget.js'
import { isolatePackage } from './helpers/isolated-package.js'

const never = (): Promise<never> => new Promise(() => undefined)
const MINUTE = 60_000

test('a short budget is not kept waiting by a long one that began before', async () => {
  const long = new Budget(10 * MINUTE).run(() => sleep(300, 'answered'))
  await expect(new Budget(20).run(never)).rejects.toThrow('The backend did not finish within 20 ms')
  expect(await long).toBe('answered')
})

test('a long budget outlives a short one that began before', async () => {
  const short = new Budget(20).run(never)
  const long = new Budget(10 * MINUTE).run(() => sleep(100, 'answered'))
  await expect(short).rejects.toThrow('within 20 ms')
  expect(await long).toBe('answered')
})

test('calls that are late one after the other are all given up, each in its time', async () => {
  const given: number[] = []
  const calls = [60, 20, 40].map((milliseconds) =>
    new Budget(milliseconds).run(never).catch(() => given.push(milliseconds)),
  )
  await Promise.all(calls)
  expect(given).toEqual([20, 40, 60])
})

test('a call that was answered is forgotten, and the next one is watched as well', async () => {
  const budget = new Budget(50)
  expect(await budget.run(async () => 'answered')).toBe('answered')
  await expect(budget.run(never)).rejects.toThrow('within 50 ms')
})

test('a process ends as soon as nobody waits, and not before', { timeout: MINUTE }, async () => {
  const built = await isolatePackage()
  try {
    const script = `
      import { createSessions } from 'vishnu'
      import { memory } from 'vishnu/backends/memory'
      const hang = () => new Promise(() => undefined)
      const hanging = { read: hang, create: hang, replace: hang, touch: hang, delete: hang }
      const secret = 'a secret for tests, and for nothing else'
      const visitor = async () => {
        const sessions = createSessions({ secret, backend: memory(), backendTimeout: 60_000, autoSave: true })
        const visit = sessions.open(undefined)
        const session = await visit.session()
        await session.update('count', () => 1)
        return (await sessions.commit(visit, () => undefined)).append[0][1].split(';')[0]
      }
      const sessions = createSessions({ secret, backend: hanging, backendTimeout: 300, onEvent: () => undefined })
      await sessions.open(await visitor()).session().catch(({ code }) => console.log(code))
    `
    expect(await built.run(script)).toBe('ERR_BACKEND\n')
  } finally {
    await built.remove()
  }
})
