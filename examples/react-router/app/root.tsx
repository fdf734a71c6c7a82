import { isRouteErrorResponse, Links, Meta, Outlet, Scripts, ScrollRestoration } from 'react-router'
import { sessionMiddleware } from 'vishnu/react-router'
import type { Route } from './+types/root'
import { sessions } from './sessions.server'

export const middleware: Route.MiddlewareFunction[] = [sessionMiddleware(sessions)]

export function Layout({ children }: { children: React.ReactNode }) {
  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Shop</title>
        <Meta />
        <Links />
      </head>
      <body>
        {children}
        <ScrollRestoration />
        <Scripts />
      </body>
    </html>
  )
}

export default function App() {
  return <Outlet />
}

export function ErrorBoundary({ error }: Route.ErrorBoundaryProps) {
  const isUnavailable = isRouteErrorResponse(error) && error.status === 503
  return <p id="error">{isUnavailable ? 'Please try again in a minute.' : 'Something went wrong.'}</p>
}
