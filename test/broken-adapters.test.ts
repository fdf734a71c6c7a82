import { describe, expect, test } from 'vitest'
import { type HttpCapabilities, type HttpCase, httpScenario } from '../src/testing/index.js'
import { brokenAdapters, limitedAdapters, RightAdapter } from './helpers/broken-adapters.js'

// The scenario is tested like anything else: bugs that session middleware has had must not get past it.

/** The case that catches each. */
const caught: Record<keyof typeof brokenAdapters, string> = {
  'an answer that does not wait for the store': cell('set', 'answer 2xx'),
  'no commit': 'what one request sets the next one reads',
  'no commit on redirects': 'a visitor who follows a redirect at once finds there what was set before it',
  'no commit on errors of the client': cell('regenerate', 'answer 4xx'),
  'no commit on errors of the server': cell('set', 'throw'),
  'no commit on HEAD': 'an answer to HEAD begins only after its session is stored, brings the cookie, and has no body',
  'a commit after the stream': 'a streamed answer begins only after its session is stored',
  'a Set-Cookie that overwrites others': "the application's own cookies are sent beside ours",
  "a Vary that replaces the application's": "Vary is merged with the application's own (Accept-Encoding)",
  'a Cache-Control that is left as it is': 'Cache-Control beside our cookie lets no shared cache keep it',
  'a cookie that is sent again with each answer': arrivals('two requests'),
  'a cookie that is removed by whoever lost the session': arrivals('three changes'),
  'a cookie that stays after log-out': cell('terminate', 'answer 2xx'),
  'no commit once the visitor has left': 'what is changed for a visitor who went away while the handler runs is stored',
  'an answer although nothing was stored': "nothing of a plain answer leaves when its session can't be stored",
  'an answer of 503 with the headers that were prepared':
    "nothing of a redirect answer leaves when its session can't be stored",
  'an outage taken for no session': "a session that can't be read rejects in the handler, who may answer all the same",
  'one visitor at a time': "overlapping requests never see each other's session",
  'a session opened for every request': 'a handler that never asks for the session costs nothing and shows nothing',
  'one cookie of a name': 'a planted cookie of our name does not hide ours',
}

/** For each capability: what catches who lacks it and does not say so, and who says so and has it. */
const declared: Record<keyof HttpCapabilities, { whoLacksIt: string; whoHasIt: string }> = {
  cookie: {
    whoLacksIt: 'what one request sets the next one reads',
    whoHasIt: 'a change is refused with ERR_COMMITTED, and sets no cookie, as declared',
  },
  headers: {
    whoLacksIt: 'reading keeps the page out of shared caches',
    whoHasIt: 'reading adds nothing to Vary, as declared',
  },
  stream: {
    whoLacksIt: 'a streamed body arrives piece by piece',
    whoHasIt: 'a streamed body arrives as a whole, as declared',
  },
  cancel: {
    whoLacksIt: 'the body of a visitor who went away is closed, and what was changed before it is stored',
    whoHasIt:
      'the body of a visitor who went away is not closed, as declared, and what was changed before it is stored',
  },
  commitOnError: {
    whoLacksIt: cell('set', 'throw'),
    whoHasIt: 'set, then throw: only what acted at once is kept, and no cookie leaves, as declared',
  },
  finishHandler: {
    whoLacksIt: 'what is changed for a visitor who went away while the handler runs is stored',
    whoHasIt: 'the commit comes when the visitor goes away, as declared: set is refused then, and update works',
  },
  errorStatus: {
    whoLacksIt: "a session that can't be read is answered with 503, and logs nobody out",
    whoHasIt: "a session that can't be read is answered with 500, and logs nobody out",
  },
  asyncContext: {
    whoLacksIt: "overlapping requests never see each other's session",
    whoHasIt: "overlapping requests never see each other's session, and none without the request, as declared",
  },
}

const failure = { code: 'ERR_ASSERTION' }
const bugs = Object.keys(caught) as (keyof typeof caught)[]
const capabilities = Object.keys(declared) as (keyof HttpCapabilities)[]

describe('an adapter with', () => {
  test.each(bugs.map((bug) => [bug, caught[bug]] as const))('%s is caught by: %s', async (bug, name) => {
    await expect(play(httpScenario(brokenAdapters[bug]().serve), name)).rejects.toMatchObject(failure)
  })
})

describe('an adapter that is right', () => {
  test.each(httpScenario(new RightAdapter().serve))('keeps the rule: $name', async ({ check }) => {
    expect(await check()).toBeUndefined()
  })
})

describe.each(capabilities)('the capability %s', (capability) => {
  const { whoLacksIt, whoHasIt } = declared[capability]
  const without = { capabilities: { [capability]: false } }

  test('is missed where it lacks, and this is not declared', async () => {
    const cases = httpScenario(limitedAdapters[capability]().serve)
    await expect(play(cases, whoLacksIt)).rejects.toMatchObject(failure)
  })

  test('is found where it is declared to lack', async () => {
    await expect(play(httpScenario(new RightAdapter().serve, without), whoHasIt)).rejects.toMatchObject(failure)
  })

  test('may lack where this is declared', async () => {
    const cases = httpScenario(limitedAdapters[capability]().serve, without)
    for (const { check } of cases) expect(await check()).toBeUndefined()
  })
})

describe('the matrix', () => {
  const operations = ['set', 'update', 'save', 'regenerate', 'terminate', 'timeout']
  const kinds = ['answer 2xx', 'answer 3xx', 'answer 4xx', 'answer 5xx', 'throw']
  const cells = operations.flatMap((operation) => kinds.map((kind) => cell(operation, kind)))

  test('has a cell for each change on each kind of answer', () => {
    const names = httpScenario(new RightAdapter().serve).map(({ name }) => name)
    expect(names.filter((name) => name.includes('the right cookie leaves')).toSorted()).toEqual(cells.toSorted())
  })

  test.each(cells)('lets no adapter pass that never commits: %s', async (name) => {
    await expect(play(httpScenario(brokenAdapters['no commit']().serve), name)).rejects.toMatchObject(failure)
  })
})

test('a capability that there is not is refused, and the one that was meant is named', () => {
  const misspelt = { capabilities: { commit_on_error: false, stream: 0 } } as object
  expect(() => httpScenario(new RightAdapter().serve, misspelt)).toThrow(
    expect.objectContaining({
      code: 'ERR_CONFIG',
      problems: [
        'capabilities.commit_on_error is not an option: did you mean commitOnError?',
        'capabilities.stream must be true or false, not 0',
      ],
    }),
  )
})

async function play(cases: readonly HttpCase[], name: string): Promise<void> {
  const found = cases.find((candidate) => candidate.name === name)
  if (!found) throw new Error(`There is no case: ${name}`)
  await found.check()
}

function cell(operation: string, kind: string): string {
  return `${operation}, then ${kind}: it is stored first, and the right cookie leaves`
}

function arrivals(requests: string): string {
  return `${requests} at once: whatever order they are stored and answered in, the browser ends up with the right cookie`
}
