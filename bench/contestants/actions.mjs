/** What a request asks a server for: the path of its URL. */
export function actionOf(url) {
  const [, name, bytes] = url.split('/')
  return { name, bytes: Number(bytes) }
}

/** As frameworks do: with the length, and in one piece. */
export function send(response, body) {
  response.setHeader('Content-Length', body.length)
  response.end(body)
}
