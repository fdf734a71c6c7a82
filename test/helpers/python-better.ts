/** What one request comes to: what its operations give, its cookie, and then the values of each stored session. */
export type Row = readonly [results: readonly unknown[], cookie: string, stored: Readonly<Record<string, object>>]

/** What we do where the Python library's result is not to be repeated. */
export interface Better {
  readonly does: string
  readonly scenarios: readonly string[]
  readonly rows: readonly Row[]
}

const JAMES = { sid1: { user: 'james' } }
const LOGIN: Row = [[null, null], 'sets sid1', JAMES]
const LOGIN_60: Row = [[null, null], 'sets sid1 until 12:01:00', JAMES]

function both(name: string): string[] {
  return [`manual-${name}`, `auto-${name}`]
}

/** The 13 bugs. */
export const bugs: readonly Better[] = [
  {
    does: 'stores nothing without save() while autoSave is off, of a stored session no more than of a new one',
    scenarios: ['manual-existing-set-no-save'],
    rows: [LOGIN, [[null], 'keeps sid1', JAMES], [['james'], 'keeps sid1', JAMES]],
  },
  {
    does: 'stores nothing without save() while autoSave is off, under a new key no more than under an old one',
    scenarios: ['manual-existing-set-new-key-no-save'],
    rows: [LOGIN, [[null], 'keeps sid1', JAMES], [[null], 'keeps sid1', JAMES]],
  },
  {
    does: 'hands out frozen values: changing one in place is an error, and not a change that may or may not be stored',
    scenarios: ['manual-mutate-in-place'],
    rows: [
      [[null, null], 'sets sid1', { sid1: { l: [1] } }],
      [['TypeError'], 'keeps sid1', { sid1: { l: [1] } }],
      [[[1]], 'keeps sid1', { sid1: { l: [1] } }],
    ],
  },
  {
    does: 'keeps what is stored when save() is called and nothing was read before',
    scenarios: both('save-only-existing'),
    rows: [LOGIN, [[null], 'keeps sid1', JAMES], [['james'], 'keeps sid1', JAMES]],
  },
  {
    does: 'ends a session when it is over, whatever the client still sends, and sends no cookie that has expired',
    scenarios: both('timeout60-client-keeps-cookie'),
    rows: [LOGIN_60, [[null, false], 'none', JAMES]],
  },
  {
    does: 'keeps a timeout that was set before the first read',
    scenarios: ['auto-set-timeout-before-get'],
    rows: [LOGIN, [[null, 'james'], 'sets sid1 until 12:01:50', JAMES]],
  },
  {
    does: 'takes a timeout for a change like any other, which is not stored without save() while autoSave is off',
    scenarios: ['manual-set-timeout-before-get'],
    rows: [LOGIN, [[null, 'james'], 'keeps sid1', JAMES]],
  },
  {
    does: 'gives a timeout to the session that it was set for, and to no other',
    scenarios: both('set-timeout-leaks'),
    rows: [
      [[null, null, null], 'sets sid1 until 12:01:40', JAMES],
      [[null, null, 0], 'sets sid2', { ...JAMES, sid2: { user: 'other visitor' } }],
    ],
  },
  {
    does: 'takes the timeout from the session that is to end with the browser, and from no other',
    scenarios: both('timeout-session-leaks'),
    rows: [
      [[null, null, null], 'sets sid1', JAMES],
      [[null, null, 60], 'sets sid2 until 12:01:05', { ...JAMES, sid2: { user: 'other' } }],
    ],
  },
]

/** The 34 questionable ones. */
export const questionable: readonly Better[] = [
  {
    does: 'knows that a session is stored as soon as it is asked, and not only when a value was read',
    scenarios: both('existing-untouched'),
    rows: [LOGIN, [[true], 'keeps sid1', JAMES]],
  },
  {
    does: 'reads without having anything to save, and without a cookie',
    scenarios: both('existing-get'),
    rows: [LOGIN, [['james', true, false], 'keeps sid1', JAMES]],
  },
  {
    does: 'removes no cookie from a visitor who has none',
    scenarios: both('terminate-without-session'),
    rows: [[[null, false], 'none', {}]],
  },
  {
    does: 'drops what is set after a log-out and never saved, while autoSave is off',
    scenarios: ['manual-logout-then-set'],
    rows: [LOGIN, [[null, null, false], 'removes it', {}], [[null], 'none', {}]],
  },
  {
    does: 'begins a session under another id with what is set after a log-out',
    scenarios: ['auto-logout-then-set'],
    rows: [
      LOGIN,
      [[null, null, true], 'sets sid2', { sid2: { user: 'bob' } }],
      [['bob'], 'keeps sid2', { sid2: { user: 'bob' } }],
    ],
  },
  {
    does: 'begins a session under another id with what is saved after a log-out',
    scenarios: both('logout-then-set-save'),
    rows: [
      LOGIN,
      [[null, null, null], 'sets sid2', { sid2: { user: 'bob' } }],
      [['bob'], 'keeps sid2', { sid2: { user: 'bob' } }],
    ],
  },
  {
    does: 'stays logged out when something is read after the log-out, between two reads',
    scenarios: ['auto-get-then-logout'],
    rows: [LOGIN, [['james', null, null], 'removes it', {}], [[null], 'none', {}]],
  },
  {
    does: 'stays logged out when something is read after the log-out',
    scenarios: ['auto-logout-then-get'],
    rows: [LOGIN, [[null, null, false, false], 'removes it', {}], [[null], 'none', {}]],
  },
  {
    does: 'stays logged out when save() follows the log-out, with nothing to save',
    scenarios: both('terminate-save'),
    rows: [LOGIN_60, [[null, null], 'removes it', {}], [[null], 'none', {}]],
  },
  {
    does: 'stores no session that has no values',
    scenarios: both('save-only-new'),
    rows: [[[null, false], 'none', {}]],
  },
  {
    does: 'begins no session because somebody reads',
    scenarios: ['auto-get-without-session'],
    rows: [[[null, false, false], 'none', {}]],
  },
  {
    does: 'begins no session because somebody reads with a cookie that does not open, and leaves the cookie alone',
    scenarios: ['auto-tampered-cookie'],
    rows: [LOGIN, [[null], 'keeps sid1', JAMES]],
  },
  {
    does: 'begins a session under an id of its own, not under one that leads to nothing',
    scenarios: both('signed-unknown-sid'),
    rows: [LOGIN],
  },
  {
    does: 'never brings back the id of a session that was logged out, whoever still has the cookie',
    scenarios: both('old-cookie-after-logout'),
    rows: [
      LOGIN,
      [[null], 'removes it', {}],
      [[null, null], 'sets sid2', { sid2: { user: 'eve' } }],
      [['eve'], 'keeps sid2', { sid2: { user: 'eve' } }],
    ],
  },
  {
    does: 'moves the end of a session with its use, and the end of the cookie with it',
    scenarios: both('timeout60'),
    rows: [
      LOGIN_60,
      [['james'], 'sets sid1 until 12:01:30', JAMES],
      [['james'], 'sets sid1 until 12:01:59', JAMES],
      [['james'], 'keeps sid1 until 12:01:59', JAMES],
    ],
  },
  {
    does: 'moves the end of a session that is saved unread, and keeps its values',
    scenarios: both('timeout60-save-without-load'),
    rows: [LOGIN_60, [[null], 'sets sid1 until 12:01:30', JAMES]],
  },
  {
    does: 'stores a timeout that is set alone',
    scenarios: ['auto-set-timeout-only'],
    rows: [LOGIN, [[null, true], 'sets sid1 until 12:01:50', JAMES]],
  },
  {
    does: 'says that a timeout is to be saved, and without save() does not store it while autoSave is off',
    scenarios: ['manual-set-timeout-only'],
    rows: [LOGIN, [[null, true], 'keeps sid1', JAMES]],
  },
  {
    does: 'tells the handler that a change comes after the headers',
    scenarios: both('set-after-start-response'),
    rows: [[[null, 'ERR_COMMITTED', false], 'none', {}]],
  },
  {
    does: 'stores no session whose cookie comes too late',
    scenarios: both('save-after-start-response'),
    rows: [[[null, 'ERR_COMMITTED', null], 'none', {}]],
  },
  {
    does: 'stores what was set whatever the status, as Python does: the handler chose to set it',
    scenarios: ['auto-error-status'],
    rows: [[[null, null], 'sets sid1', JAMES]],
  },
  {
    does: 'refuses a key that is no text, and has nothing to store then',
    scenarios: ['auto-unhashable-key'],
    rows: [[['ERR_KEY'], 'none', {}]],
  },
]

/** Normative, but exempt. */
export const exempt: readonly Better[] = [
  {
    // Python stores it only by the bug of `existing-set-no-save`.
    does: 'takes a timeout for a change like any other, which only save() stores while autoSave is off',
    scenarios: ['manual-get-then-set-timeout'],
    rows: [LOGIN, [['james', null], 'keeps sid1', JAMES]],
  },
  {
    does: 'hands out frozen values: changing one in place is an error, and a change is made with set or update',
    scenarios: ['auto-mutate-in-place'],
    rows: [
      [[null, null], 'sets sid1', { sid1: { l: [1] } }],
      [['TypeError'], 'keeps sid1', { sid1: { l: [1] } }],
      [[[1]], 'keeps sid1', { sid1: { l: [1] } }],
    ],
  },
  {
    does: 'has keys of text only, and refuses others',
    scenarios: both('int-key'),
    rows: [
      [['ERR_KEY', null, null], 'sets sid1', { sid1: { 1: 'str' } }],
      [['ERR_KEY', 'str'], 'keeps sid1', { sid1: { 1: 'str' } }],
    ],
  },
  {
    // Python's third request begins an empty session, as in `auto-get-without-session`.
    does: 'begins no session because somebody reads after a log-out',
    scenarios: ['auto-logout'],
    rows: [LOGIN, [[null, false, false], 'removes it', {}], [[null], 'none', {}]],
  },
]
