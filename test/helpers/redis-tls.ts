import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { startRedis } from './redis-server.js'
import { certificate, key } from './self-signed.js'

export interface TlsRedis {
  readonly tlsPort: number
  readonly stop: () => Promise<void>
}

/** Needs a redis-server that was built with TLS, as those of the Linux distributions and of Homebrew are. */
export async function startTlsRedis(): Promise<TlsRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-tls-'))
  const [certificateFile, keyFile] = [join(dir, 'certificate.pem'), join(dir, 'key.pem')]
  await writeFile(certificateFile, certificate)
  await writeFile(keyFile, key)
  const tlsPort = await freePort()
  const settings = {
    '--tls-port': String(tlsPort),
    '--tls-cert-file': certificateFile,
    '--tls-key-file': keyFile,
    '--tls-auth-clients': 'no',
  }
  const server = await startRedis({ args: Object.entries(settings).flat() })
  return {
    tlsPort,
    stop: async () => {
      await server.stop()
      await rm(dir, { recursive: true })
    },
  }
}
