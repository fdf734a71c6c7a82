import { describe } from 'vitest'
import { fuzz } from './fuzz.js'
import { recordTargets } from './records.js'

describe('damaged records, of every form, are refused in time or read as sessions that can be changed', () => {
  fuzz({
    corpus: new URL('records-corpus.json', import.meta.url),
    inputs: 10_000,
    inLongRun: (cookies) => cookies / 10,
    targets: recordTargets,
  })
})
