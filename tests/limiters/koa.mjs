// koa-ratelimit: one request a second. `Retry-After` is rounded down, so it is 0 here.
import Koa from 'koa'
import ratelimit from 'koa-ratelimit'

const app = new Koa()
app.use(ratelimit({ driver: 'memory', db: new Map(), duration: 1000, max: 1, id: () => 'all' }))
app.use((context) => (context.body = 'taken'))
app.listen(Number(process.argv[2]), '127.0.0.1')
