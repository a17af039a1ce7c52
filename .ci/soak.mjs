// The soak: an origin that fails a tenth of the time, `edge` before it, and clients that check what they get.
// What an URL (and a user) gets is a function of it, so each body can be checked byte by byte. See `soak` for how to run it.
import http from 'node:http'
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const [program, seconds] = [process.argv[2], Number(process.argv[3])]
const seed = Number(process.env.SOAK_SEED ?? Date.now() % 2 ** 31) | 0
const GROWTH = Number(process.env.SOAK_GROWTH_MIB ?? 16) * 1024
const CLIENTS = 32
const FAULTS = 0.1
// Small, so that the store is full before the first third is over.
const STORE_MIB = 32

// Mulberry32.
let state = seed
const random = () => {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const below = n => Math.floor(random() * n)
const chance = p => random() < p

const tally = { requests: 0, checks: 0, hits: 0, refused: 0, broken: 0, aborts: 0, slow: 0, ranges: 0, private: 0, faults: 0, asked: 0 }
const failures = []
const check = (holds, what) => {
  tally.checks++
  if (!holds && failures.push(what) <= 20) console.error(`soak: ${what}`)
}

// Content.

const noise = Buffer.alloc(8 << 20)
for (let i = 0; i < noise.length; i += 4) noise.writeUInt32LE((random() * 2 ** 32) >>> 0, i)
const hash = text => {
  let h = 2166136261
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return h >>> 0
}
const sizeOf = url => {
  if (url.startsWith('/large/')) return 4 << 20
  if (url.startsWith('/big/')) return 512 << 10
  return 200 + (hash(url) % (url.startsWith('/hot/') ? 60_000 : 14_000))
}
/** What an URL is for one who is told apart by `who`. */
const content = (url, who = '') => {
  const title = Buffer.from(`${url} for ${who}\n`)
  const rest = sizeOf(url) - title.length
  const from = hash(`${url}|${who}`) % (noise.length - rest)
  return Buffer.concat([title, noise.subarray(from, from + rest)])
}

// The origin.

const PRIVATE = [
  { 'cache-control': 'private, max-age=60' },
  { 'cache-control': 'No-Store' },
  { 'cache-control': 'max-age=60', 'set-cookie': 'session=1' },
  { 'cache-control': 'max-age=60' }, // asked for with Authorization
  { 'cache-control': 'max-age=60', vary: 'Cookie' },
]

const origin = http.createServer((request, response) => {
  tally.asked++
  const { url, method, headers } = request
  request.resume()
  request.on('error', () => {})
  response.on('error', () => {})
  if (method === 'POST') return request.on('end', () => response.end('done'))
  let who = ''
  let fields = { 'cache-control': `max-age=${1 + (hash(url) % 3)}` }
  if (url.startsWith('/private/')) {
    who = headers.authorization ?? headers.cookie ?? ''
    fields = { ...PRIVATE[Number(url.slice(9))] }
  } else if (url.startsWith('/vary/')) {
    who = headers['x-lang'] ?? ''
    fields.vary = 'X-Lang'
  } else if (url.startsWith('/miss')) fields['cache-control'] = 'max-age=300'
  if (hash(url) % 2) fields.etag = `"${hash(url + who)}"`
  const body = content(url, who)
  if (chance(FAULTS)) return fail(response, method, body, fields)
  if (fields.etag && headers['if-none-match'] === fields.etag) return response.writeHead(304, fields).end()
  if (hash(url) % 3) fields['content-length'] = body.length
  response.writeHead(200, fields)
  if (method === 'HEAD') return response.end()
  // In pieces, so that there is something to join while it arrives.
  const half = body.length >> 1
  response.write(body.subarray(0, half))
  setTimeout(() => response.end(body.subarray(half)), below(4))
})

function fail(response, method, body, fields) {
  tally.faults++
  const kind = below(6)
  if (kind < 2) return response.writeHead(kind ? 500 : 503, { 'cache-control': 'max-age=60, no-store' }).end('failed')
  if (kind === 2) return response.socket.destroy()
  if (kind === 3) return setTimeout(() => response.socket?.destroy(), 100 + below(900))
  // Short of its length, or chunked without an end.
  response.writeHead(200, kind === 4 ? { ...fields, 'content-length': body.length } : fields)
  response.write(body.subarray(0, method === 'HEAD' ? 0 : body.length >> 1), () => response.socket?.destroy())
}

// The clients.

const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS })
let misses = 0

/** One request: what to ask, whose bytes are expected, and how to read them. */
function choose() {
  const dice = random()
  const get = (url, more = {}) => ({ url, method: 'GET', headers: {}, who: '', ...more })
  if (dice < 0.38) return get(`/hot/${below(20)}`)
  if (dice < 0.58) return get(`/miss?${misses++}`)
  if (dice < 0.62) return get(`/miss?${Math.max(0, misses - 1 - below(200))}`)
  if (dice < 0.68) {
    const who = ['de', 'en', 'fr', 'it'][below(4)]
    return get(`/vary/${below(10)}`, { who, headers: { 'x-lang': who } })
  }
  if (dice < 0.82) {
    const kind = below(PRIVATE.length)
    const who = `user-${below(12)}`
    const headers = kind === 3 ? { authorization: who } : { cookie: who }
    return get(`/private/${kind}`, { who, headers, never: kind < 4 })
  }
  if (dice < 0.89) {
    const url = chance(0.8) ? `/big/${below(4)}` : `/hot/${below(20)}`
    const size = sizeOf(url)
    const [first, last] = chance(0.2) ? [size - 1 - below(size >> 1), size - 1] : [below(size >> 1), 0]
    const end = last || Math.min(size - 1, first + below(100_000))
    return get(url, { headers: { range: last ? `bytes=-${size - first}` : `bytes=${first}-${end}` }, range: [first, end] })
  }
  if (dice < 0.94) return get([`/big/${below(4)}`, `/hot/${below(20)}`, `/miss?${misses++}`, `/large/${below(2)}`][below(4)], { abort: below(3) })
  if (dice < 0.96) return get(`/large/${below(2)}`, { slow: true })
  if (dice < 0.98) return get(`/hot/${below(20)}`, { method: 'HEAD' })
  return get(`/hot/${below(20)}`, { method: 'POST' })
}

function ask(port, wanted) {
  return new Promise(done => {
    tally.requests++
    const { url, method, headers, who, abort } = wanted
    const label = `${method} ${url} for '${who}'${wanted.range ? ` ${headers.range}` : ''}`
    const limit = setTimeout(() => {
      check(false, `${label}: hangs`)
      request.destroy()
    }, 30_000)
    const over = () => {
      clearTimeout(limit)
      done()
    }
    const request = http.request({ port, host: '127.0.0.1', path: url, method, agent, headers: { host: 'soak.test', ...headers } })
    request.on('error', error => {
      if (abort === undefined) check(false, `${label}: no answer: ${error.message}`)
      over()
    })
    request.on('response', response => {
      read(response, wanted, label).then(over, error => {
        check(false, `${label}: ${error.stack}`)
        over()
      })
    })
    if (abort === 0) {
      tally.aborts++
      setTimeout(() => request.destroy(), below(5))
    }
    request.end(method === 'POST' ? 'x'.repeat(below(20_000)) : undefined)
  })
}

async function read(response, { url, method, who, range, abort, slow, never }, label) {
  const { statusCode: status, headers } = response
  const isHit = /(^|, )tower-cdn; hit/.test(headers['cache-status'] ?? '')
  if (isHit) tally.hits++
  if (abort) {
    tally.aborts++
    if (abort === 1) return response.destroy()
  }
  const chunks = []
  let length = 0
  let broken = false
  try {
    for await (const chunk of response) {
      chunks.push(chunk)
      length += chunk.length
      if (abort === 2 && length > 10_000) return response.destroy()
      if (slow) await sleep(25)
    }
  } catch {
    broken = true
  }
  const got = Buffer.concat(chunks)
  if (slow) tally.slow++
  if (status >= 500) {
    tally.refused++
    check([500, 502, 503, 504].includes(status), `${label}: status ${status}`)
    return check(!isHit && headers.age === undefined, `${label}: a stored failure`)
  }
  if (method === 'POST') return check(status === 200 && (broken || got.equals(Buffer.from('done'))), `${label}: ${status}`)
  const whole = content(url, who)
  const isPart = range && status === 206
  const want = isPart ? whole.subarray(range[0], range[1] + 1) : whole
  check(status === 200 || isPart, `${label}: status ${status}`)
  check(headers.age === undefined || /^\d+$/.test(headers.age), `${label}: Age ${headers.age}`)
  check(!isHit || headers.age !== undefined, `${label}: a hit without Age`)
  if (never) {
    tally.private++
    check(!isHit && headers.age === undefined, `${label}: private, but stored`)
  }
  if (isPart) {
    tally.ranges++
    const tells = `bytes ${range[0]}-${range[1]}/${whole.length}`
    const untold = headers['content-range']
    check(untold === tells, `${label}: ${untold}, not ${tells}`)
  }
  if (method === 'HEAD') {
    const told = headers['content-length']
    return check(got.length === 0 && (told === undefined || Number(told) === whole.length), `${label}: length ${told}`)
  }
  if (broken) {
    // Who leaves by himself may have it all and not know it yet.
    if (abort === undefined) tally.broken++
    const isStart = got.equals(want.subarray(0, got.length)) && (abort === 0 || got.length < want.length)
    return check(isStart, `${label}: ${status}, ${got.length} bytes of a broken body that do not begin the ${want.length} expected${differs(got, want)}`)
  }
  check(got.equals(want), `${label}: ${status}, ${got.length} bytes that are not the ${want.length} expected${differs(got, want)}`)
}

const differs = (got, want) => {
  let at = 0
  while (at < got.length && got[at] === want[at]) at++
  return `: from ${at}: ${JSON.stringify(got.subarray(at, at + 60).toString('latin1'))}`
}

// The program.

const listening = server => new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port)))

function start(originPort) {
  const options = ['--listen', '127.0.0.1:0', '--origin', `http://127.0.0.1:${originPort}`, '--memory', `${STORE_MIB}MiB`]
  // mimalloc's own delay: what `edge` has freed and keeps for a moment is no growth.
  const env = { ...process.env, MIMALLOC_PURGE_DELAY: '10' }
  const edge = spawn(program, options, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  edge.said = ''
  edge.stderr.on('data', text => { if (edge.said.length < 10_000) edge.said += text })
  const ready = new Promise((done, broken) => {
    edge.on('error', broken)
    edge.on('exit', code => broken(new Error(`edge has ended with ${code}: ${edge.said}`)))
    edge.stdout.on('data', text => {
      const port = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]
      if (port) done(Number(port))
    })
  })
  return { edge, ready }
}

const residentKib = pid => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
const files = pid => readdirSync(`/proc/${pid}/fd`).length
const median = numbers => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]
const mib = kib => (kib / 1024).toFixed(1)

async function soak() {
  const originPort = await listening(origin)
  const { edge, ready } = start(originPort)
  process.on('exit', () => edge.kill('SIGKILL'))
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => process.exit(1))
  const port = await ready
  const atFirst = files(edge.pid)

  const began = Date.now()
  const until = began + seconds * 1000
  const samples = []
  const watch = setInterval(() => {
    if (edge.exitCode === null && edge.signalCode === null) samples.push([(Date.now() - began) / 1000, residentKib(edge.pid)])
  }, 250)
  const client = async () => {
    while (Date.now() < until && edge.exitCode === null && failures.length < 100) await ask(port, choose())
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  clearInterval(watch)
  check(edge.exitCode === null && edge.signalCode === null, 'edge has ended')

  // What is left open when nobody asks any more was left behind.
  agent.destroy()
  let atLast = Infinity
  for (let waited = 0; waited < 50 && atLast > atFirst; waited++) {
    origin.closeIdleConnections()
    await sleep(100)
    atLast = files(edge.pid)
  }
  check(atLast <= atFirst, `${atLast} files are open, ${atFirst} were before`)

  const within = (from, to) => median(samples.filter(([t]) => t >= from * seconds && t <= to * seconds).map(([, kib]) => kib))
  const [third, end] = [within(0.3, 0.4), within(0.9, 1)]
  check(end - third <= GROWTH, `memory grew from ${mib(third)} to ${mib(end)} MiB`)
  const peak = Math.max(...samples.map(([, kib]) => kib))

  // A load without these shows nothing.
  for (const name of ['hits', 'refused', 'broken', 'aborts', 'ranges', 'private', 'faults', 'slow']) {
    check(tally[name] > 0, `no ${name} in the whole run`)
  }
  check(tally.refused + tally.broken < tally.requests / 4, 'more failures than the origin has')
  const ended = new Promise(done => edge.removeAllListeners('exit').on('exit', done))
  edge.kill('SIGTERM')
  const code = await Promise.race([ended, sleep(15_000, 'nothing for 15 s', { ref: false })])
  check(code === 0, `edge ended with ${code} when it was asked to`)
  check(!/panicked/.test(edge.said), `edge panicked: ${edge.said}`)

  const t = tally
  console.log(
    `soak: ${t.requests} requests, ${t.checks} checks, ${failures.length} failures in ${seconds} s; ${t.hits} hits, ${t.asked} asked of the origin, ` +
      `${t.faults} of them failed; ${t.refused} refused, ${t.broken} broken off, ${t.private} private, ${t.ranges} ranges, ${t.aborts} aborted, ` +
      `${t.slow} slow; memory ${mib(third)} MiB at a third, ${mib(end)} at the end, ${mib(peak)} at most (+${mib(GROWTH)} allowed, store ${STORE_MIB}); ` +
      `files ${atFirst} before, ${atLast} after; seed ${seed}`,
  )
  process.exit(failures.length ? 1 : 0)
}

soak().catch(error => {
  console.error(`soak: ${error.stack}`)
  process.exit(1)
})
