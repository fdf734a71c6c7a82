import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readMarkdown } from '../../quality/markdown.ts'
import { Project } from '../helpers/project.mjs'

const root = resolve(import.meta.dirname, '../../..')

const routes = `
import { redirect } from 'next/navigation'
import { type NextFetchEvent, type NextProxy, type NextRequest, NextResponse } from 'next/server'
import { withSessions } from 'vishnu/next'
import { sessions } from '../lib/sessions'

type Context = { params: Promise<{ id: string }> }
type Route = (request: NextRequest, context: Context) => Promise<Response | void>
export const GET: Route = withSessions(sessions, async (request: NextRequest, { params }: Context) => {
  const session = await sessions.get(request)
  return NextResponse.json({ user: session.get('user'), id: (await params).id, path: request.nextUrl.pathname })
})
export const POST: Route = withSessions(sessions, async () => redirect('/'))
export const PUT: Route = withSessions(sessions, (request) => new Response(request.url))
// @ts-expect-error A route handler answers.
export const PATCH: Route = withSessions(sessions, async () => undefined)

export const proxy: NextProxy = withSessions(sessions, async (request: NextRequest, event: NextFetchEvent) => {
  event.waitUntil(Promise.resolve())
  return NextResponse.redirect(new URL('/', request.url))
})
`

const components = `
import { readSession, sessionAction } from 'vishnu/next'
import { sessions } from '../lib/sessions'

const logIn = sessionAction(sessions, async (form: FormData) => {
  const session = await sessions.current()
  session.set('user', String(form.get('name')))
  // @ts-expect-error There is no such value.
  session.set('name', 'ada')
})
const add = sessionAction(sessions, async (previous: number, step: number) => previous + step)
export const added: Promise<number> = add(1, 2)
// @ts-expect-error It takes two numbers.
export const missing: Promise<number> = add(1)

export default async function Page() {
  const session = await readSession(sessions)
  const user: string | undefined = session.get('user')
  return <form action={logIn}>{user}</form>
}
`

const headers = `
import type * as declared from 'declared-headers'
import type * as wrong from 'wrong-headers'
import type * as declaredServer from 'declared-server'
import * as headers from 'next/headers.js'
import * as server from 'next/server.js'

export const checked: typeof declared = headers
export const checkedServer: typeof declaredServer = server
// @ts-expect-error Next.js has no such function.
export const refused: typeof wrong = headers
`

test("the adapter's types fit those of Next.js, and the snippets of the documentation are an application", async () => {
  const { codeBlocks } = readMarkdown(join(root, 'docs/frameworks/next.md'))
  const snippets = codeBlocks.filter(({ language }) => language === 'tsx').map(({ text }) => text)
  const names = snippets.map((text) => /^\/\/ (\S+)\n/.exec(text)?.[1])
  expect(new Set(names).size).toBe(snippets.length)

  // What the adapter takes Next.js for, and the same with a function more.
  const declaration = await readFile(join(root, 'src/adapters/next-headers.d.ts'), 'utf8')
  const declared = declaration
    .replace('next/headers.js', 'declared-headers')
    .replace('next/server.js', 'declared-server')
  const wrong = declaration
    .replace('next/headers.js', 'wrong-headers')
    .replace('next/server.js', 'wrong-server')
    .replace('{', '{ export function trailers(): void')

  const files = {
    ...Object.fromEntries(snippets.map((text, index) => [names[index], text])),
    'checks/routes.ts': routes,
    'checks/components.tsx': components,
    'checks/headers.ts': headers,
    'checks/declared.d.ts': declared,
    'checks/wrong.d.ts': wrong,
  }

  const project = await Project.create('next', join(import.meta.dirname, 'types'))
  onTestFinished(() => project.remove())
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(project.dir, name)), { recursive: true })
    await writeFile(join(project.dir, name), text)
  }
  await project.run(project.script('typescript/bin/tsc'), ['--project', '.'])
})
