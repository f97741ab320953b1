// @fastify/rate-limit: one request a second, with the headers that it sends unless told otherwise.
import Fastify from 'fastify'
import rateLimit from '@fastify/rate-limit'

const app = Fastify()
await app.register(rateLimit, { max: 1, timeWindow: 1000 })
app.post('/crm', () => 'taken')
await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' })
