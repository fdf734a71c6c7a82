import { describe } from 'vitest'
import { cookieTargets } from './cookies.js'
import { fuzz } from './fuzz.js'

describe('damaged cookies, of every seal and in headers of every shape, are answered like none', () => {
  fuzz({
    corpus: new URL('cookies-corpus.json', import.meta.url),
    inputs: 100_000,
    inLongRun: (cookies) => cookies,
    targets: cookieTargets,
  })
})
