/** A cookie as frameworks want to be told of it. */
export interface NamedCookie {
  readonly name: string
  readonly value: string
  /** Frameworks have defaults of their own for these, which ours may be sent without. */
  readonly options: { readonly path: string; readonly httpOnly: boolean; readonly secure: boolean }
}

/** What a Set-Cookie line of ours says: `Max-Age=60` is the option `maxAge: 60`. */
export function readSetCookie(line: string): NamedCookie {
  const [[name = '', value = ''] = [], ...attributes] = line.split('; ').map((part) => part.split(/=(.*)/))
  const options = attributes.map(([attribute = '', text = '']) => {
    const option = attribute.charAt(0).toLowerCase() + attribute.slice(1).replace('-', '')
    return [option, valueOf(option, text)] as const
  })
  return { name, value, options: { path: '', httpOnly: false, secure: false, ...Object.fromEntries(options) } }
}

function valueOf(option: string, text: string): unknown {
  if (option === 'maxAge') return Number(text)
  if (option === 'expires') return new Date(text)
  return text === '' ? true : text
}
