import express from 'express4'
import { describe, expect, test } from 'vitest'
import { httpScenario } from '../../src/testing/http-scenario.js'
import { serveExpress } from '../helpers/http-scenario-servers.js'

describe('vishnu/express on Express 4:', () => {
  test.each(httpScenario(serveExpress(express)))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})
