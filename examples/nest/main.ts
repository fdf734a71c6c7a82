import 'reflect-metadata'
import { Body, Controller, Get, Header, Module, Post, Redirect } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { createSessions, type Session } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionDecorator, sessionModule } from 'vishnu/nest'

interface Data {
  user: string
  cart: string[]
}

const sessions = createSessions<Data>({
  secret: process.env['SESSION_SECRET'] ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})
const CurrentSession = sessionDecorator(sessions)

@Controller()
class Shop {
  @Get()
  @Header('Content-Type', 'text/plain; charset=utf-8')
  page(@CurrentSession() session: Session<Data>): string {
    const cart = session.get('cart') ?? []
    return `Hello ${session.get('user') ?? 'stranger'}, your cart: ${cart.join(', ') || 'empty'}\n`
  }

  // Here you would check a password.
  @Post('login')
  @Redirect('/', 303)
  logIn(@CurrentSession() session: Session<Data>, @Body('name') name: string): void {
    if (session.has('user')) session.clear() // nobody inherits somebody else's cart
    session.set('user', name)
    session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  }

  @Post('cart')
  @Redirect('/', 303)
  async add(@CurrentSession() session: Session<Data>, @Body('item') item: string): Promise<void> {
    await session.update('cart', (cart = []) => [...cart, item])
  }

  @Post('logout')
  @Redirect('/', 303)
  async logOut(@CurrentSession() session: Session<Data>): Promise<void> {
    await session.terminate()
  }
}

@Module({ imports: [sessionModule(sessions)], controllers: [Shop] })
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
await app.listen(process.env['PORT'] ?? 3000)
const { port } = app.getHttpServer().address() as { port: number }
console.log(`http://localhost:${port}`)
