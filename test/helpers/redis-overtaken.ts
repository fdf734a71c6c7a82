import type { App } from './redis-app.js'
import type { BrowserResponse } from './browser.js'
import { readSession, regularVisitor } from './redis-load.js'
import type { TcpProxy } from './tcp-proxy.js'

/**
 * A visitor's write whose reply is lost, and which another write follows before the client can connect again. A client
 * that sends it a second time is told of a conflict with itself.
 *
 * @param app An instance of the application whose way to Redis is the proxy.
 * @param direct One with another way.
 */
export async function overtake(
  app: App,
  direct: App,
  proxy: TcpProxy,
): Promise<{ response: BrowserResponse; visits: string[] | undefined }> {
  const browser = await regularVisitor(app)
  // Redis knows the script by now.
  const lost = proxy.lose('reply', /evalsha/i)
  const pending = browser.post(app.url('/visit?argument=ours'))
  proxy.hold()
  await lost
  const { status } = await browser.clone().post(direct.url('/visit?argument=theirs'))
  if (status !== 200) throw new Error(`The other write was answered with ${status}`)
  proxy.release()
  const response = await pending
  const { visits } = await readSession(browser, direct)
  return { response, visits }
}
