import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.js'
import { end, endWithThisProcess, hasEnded } from './server-process.js'

export interface SharedCache {
  readonly origin: string
  readonly stop: () => Promise<void>
}

/** Starts a real nginx before a server on this machine. It keeps all that may be kept, for everybody. */
export async function startSharedCache(upstreamPort: number): Promise<SharedCache> {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-nginx-'))
  const port = await freePort()
  const file = join(dir, 'nginx.conf')
  await writeFile(file, configuration(dir, port, upstreamPort))
  const nginx = spawn('nginx', ['-e', 'stderr', '-p', dir, '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  endWithThisProcess(nginx, dir)
  let errors = ''
  nginx.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  nginx.on('error', (error) => (errors += `${error.message}: apt-get install nginx-light`))
  while (!(await listens(port))) {
    if (hasEnded(nginx) || nginx.pid === undefined) throw new Error(`nginx did not start: ${errors}`)
    await sleep(10)
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    stop: async () => {
      await end(nginx, 'SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** As careless as operators can make it: what does not forbid it is kept for an hour, even with a Set-Cookie. */
function configuration(dir: string, port: number, upstreamPort: number): string {
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  )
  return `
    daemon off;
    master_process off;
    pid ${dir}/nginx.pid;
    events {}
    http {
      access_log off;
      ${folders.join('\n')}
      proxy_cache_path ${dir}/cache keys_zone=shared:1m;
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${upstreamPort};
          proxy_cache shared;
          proxy_cache_valid any 1h;
          proxy_ignore_headers Set-Cookie;
          add_header X-Cache $upstream_cache_status always;
        }
      }
    }
  `
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const tell = (isListening: boolean) => (): void => {
      socket.destroy()
      resolve(isListening)
    }
    socket.on('connect', tell(true)).on('error', tell(false))
  })
}
