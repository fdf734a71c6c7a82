import { index, route, type RouteConfig } from '@react-router/dev/routes'

export default [
  index('routes/home.tsx'),
  route('login', 'routes/login.ts'),
  route('cart', 'routes/cart.ts'),
  route('logout', 'routes/logout.ts'),
  route('pages/:page', 'routes/page.tsx'),
  route('stream', 'routes/stream.tsx'),
  route('slow', 'routes/slow.ts'),
  route('fail', 'routes/fail.tsx'),
] satisfies RouteConfig
