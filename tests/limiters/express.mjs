// express-rate-limit: two requests in two seconds, with the headers that it sends unless told otherwise.
import express from 'express'
import { rateLimit } from 'express-rate-limit'

const app = express()
app.use(rateLimit({ windowMs: 2000, limit: 2 }))
app.post('/crm', (_, response) => response.send('taken'))
app.listen(Number(process.argv[2]), '127.0.0.1')
