import Koa from 'koa2'
import { describe, expect, test } from 'vitest'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { serveKoa } from '../helpers/serve-koa.ts'

describe('vishnu/koa on Koa 2:', () => {
  test.each(httpScenario(serveKoa(Koa)))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})
