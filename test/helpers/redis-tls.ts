import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { startRedis } from './redis-server.js'

/** Made for these tests and good for nothing else: localhost and 127.0.0.1, signed by itself, valid from 2020 to 2119. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBZzCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABI/dgU1M8hAc7h71
Cn0bHEeLWCe4CQKRSRO8EBA2CcDXKSsFquaPAkOQdsoVofVJcpZUA+nFW14yliRR
lfwakiWjTjBMMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8E
BTADAQH/MB0GA1UdDgQWBBSLmX7gkaIK5n6duF9AGgJM8iZ6gzAKBggqhkjOPQQD
AgNIADBFAiAjY9RFDPxOdzQBOqPFGUIOG30YeC+8+LDBsn6BIaxY6QIhAOM4KwNi
w/a6Hjlxk6sEcKO29UZLmI529ojgc0IlUOMQ
-----END CERTIFICATE-----
`
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnsvr5Tag5ILT986t
S29WWMV9AYkfficU4sRzGaA/MgKhRANCAASP3YFNTPIQHO4e9Qp9GxxHi1gnuAkC
kUkTvBAQNgnA1ykrBarmjwJDkHbKFaH1SXKWVAPpxVteMpYkUZX8GpIl
-----END PRIVATE KEY-----
`

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
