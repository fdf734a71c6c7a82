import { createServer } from 'node:http'

// SvelteKit takes forms only from its own origin, and believes that to be HTTPS: the proxy in front has to tell.
process.env.PROTOCOL_HEADER = 'x-forwarded-proto'
const { handler } = await import(new URL('build/handler.js', `file://${process.cwd()}/`).href)
const server = createServer((request, response) => {
  request.headers['x-forwarded-proto'] = 'http'
  handler(request, response)
})
const { HOST, PORT } = process.env
server.listen(Number(PORT), HOST, () => process.stdout.write(`http://${HOST}:${PORT}\n`))
