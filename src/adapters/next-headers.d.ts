/** What the adapter uses of Next.js, so that the library compiles without it. With the extension, Node finds it too. */
declare module 'next/headers.js' {
  export function headers(): Promise<{ get(name: string): string | null }>
  export function cookies(): Promise<{ set(cookie: NextCookie): unknown }>

  export interface NextCookie {
    name: string
    value: string
    path: string
  }
}

declare module 'next/server.js' {
  export function connection(): Promise<void>
}
