// Starts each server on processor 0, the load and the origin on processor 1, and reads the servers' CPU time from /proc. Run by `compare`.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const [edge, floor, ...wanted] = process.argv.slice(2)
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SECONDS = Number(process.env.SECONDS_EACH ?? 2)
const CONNECTIONS = 64
const NAMED = process.env.CASES ?? ''
const COUNTED = Number(process.env.COUNTED ?? 0)
const LARGE = 256 << 20
// What is kept in memory, in MiB, and more small misses than fit into that of `edge`.
const STORE = 512
const FILLS = 200_000
// What the cases from disk ask for in turn, in bytes: far more than the memory in front.
const ON_DISK = 256 << 20

const folder = mkdtempSync(join(tmpdir(), 'compare-'))
const file = (name, text) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const freePort = () =>
  new Promise(done => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })

// The servers.

const origin = await freePort()

/** How each one is started on a port of its own. All keep connections open and store what the origin says. */
const SERVERS = {
  hyper: port => [floor, 'hyper', `127.0.0.1:${port}`],
  floor: port => [floor, 'floor', `127.0.0.1:${port}`, `127.0.0.1:${origin}`],
  proxy: port => [floor, 'proxy', `127.0.0.1:${port}`, `127.0.0.1:${origin}`],
  keep: port => [floor, 'keep', `127.0.0.1:${port}`, `127.0.0.1:${origin}`, `${STORE}`],
  layer: port => [floor, 'layer', `127.0.0.1:${port}`, `127.0.0.1:${origin}`, `${STORE}`],
  edge: port => [
    edge, '--workers', '1', '--listen', `127.0.0.1:${port}`, '--origin', `http://127.0.0.1:${origin}`,
    '--memory', `${STORE}MiB`, '--max-object', '512MiB',
  ],
  'edge-disk': port => [
    edge, '--workers', '1', '--listen', `127.0.0.1:${port}`, '--origin', `http://127.0.0.1:${origin}`,
    '--memory', '4MiB', '--disk', join(folder, 'edge'), '--disk-size', '2GiB',
  ],
  haproxy: port => [
    'haproxy', '-db', '-f', file('haproxy.cfg', `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
cache all
  total-max-size ${STORE}
  max-object-size 1000000
  max-age 86400
frontend front
  bind 127.0.0.1:${port}
  default_backend back
backend back
  http-request cache-use all
  http-response cache-store all
  server origin 127.0.0.1:${origin}
`)],
  nginx: port => {
    mkdirSync(join(folder, 'nginx'))
    return ['nginx', '-p', folder, '-c', file('nginx.conf', `
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  open_file_cache max=100000;
  client_body_temp_path ${folder}/nginx/body;
  proxy_temp_path ${folder}/nginx/proxy;
  proxy_cache_path ${folder}/nginx/cache levels=1:2 keys_zone=all:64m max_size=2g use_temp_path=off;
  upstream origin { server 127.0.0.1:${origin}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache all;
    }
  }
}
`)]
  },
  varnish: port => [
    'varnishd', '-F', '-j', 'none', '-n', join(folder, 'varnish'), '-a', `127.0.0.1:${port}`, '-s', `malloc,${STORE}m`,
    '-p', 'thread_pools=1', '-p', 'nuke_limit=1000000', '-f',
    file('varnish.vcl', `vcl 4.1;\nbackend default { .host = "127.0.0.1"; .port = "${origin}"; }\n`),
  ],
}

const CASES = [
  { name: 'hit, 1 KiB', path: () => '/1024/hit', leaveOut: ['proxy'] },
  { name: 'hit, 64 KiB', path: () => '/65536/hit', leaveOut: ['proxy'] },
  { name: 'miss, 1 KiB', path: run => `/1024/miss-${run}/`, counts: true, whenFull: true, leaveOut: ['hyper'] },
  // What takes no part: the same way without the cache.
  { name: 'OPTIONS, 1 KiB', path: () => '/1024/options', method: 'OPTIONS', leaveOut: ['hyper', 'floor'] },
  { name: 'hit-disk, 64 KiB', ...onDisk(64 << 10) },
  { name: 'hit-disk, 1 MiB', ...onDisk(1 << 20) },
]

/** One after the other of so many that most come from the disk, or from what the operating system has of it. */
function onDisk(size) {
  return { path: () => `/${size}/disk-`, counts: true, among: ON_DISK / size, only: ['edge-disk', 'nginx'] }
}

// These are for some cases only.
const PECULIAR = ['keep', 'edge-disk']
const takesPart = (test, name) => (test.only ?? []).includes(name) || !(test.only || PECULIAR.includes(name) || test.leaveOut.includes(name))

const FIELDS = {
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  Accept: '*/*',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Accept-Language': 'en-GB,en;q=0.9,de;q=0.8',
  Referer: 'http://www.example.com/articles/2025/a-page-with-a-name',
  'Sec-Fetch-Dest': 'script',
  'Sec-Fetch-Mode': 'no-cors',
}

// What wrk sends: one path over and over, or each time another one of so many.
const script = file('load.lua', `
local path, method, counts, among, number = "/", "GET", false, 1, 0
function init(arguments)
  path, method, counts, among = arguments[1], arguments[2], arguments[3] == "true", tonumber(arguments[4])
end
function request()
  number = number + 1
  return wrk.format(method, counts and path .. (number % among) or path)
end
`)

/** What `edge` sets for itself: the allocator is the same for all of ours. */
const env = { MIMALLOC_PURGE_DELAY: '1000', ...process.env }

const started = []
function start(processor, command) {
  const child = spawn('taskset', ['-c', String(processor), ...command], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  child.errors = ''
  child.stderr.on('data', data => (child.errors += data))
  child.on('exit', code => (child.gone = code ?? 'a signal'))
  started.push(child)
  return child
}

/** Waits until a server answers, and tells how the last answer was. */
async function ready(child, port, path, method = 'GET') {
  for (let tries = 0; tries < 100; tries++) {
    if (child.gone !== undefined) throw new Error(`a server ended with ${child.gone}: ${child.errors}`)
    const status = await new Promise(done => {
      const request = http.request({ port, host: '127.0.0.1', path, method, headers: FIELDS, agent: false }, response =>
        response.resume().on('end', () => done(response.statusCode)),
      )
      request.on('error', () => done(0)).end()
    })
    if (status === 200) return
    await sleep(100)
  }
  throw new Error(`no answer for ${path}: ${child.errors}`)
}

/** Has all of it stored. What the server writes behind is given time. */
async function fill({ child, port }, { path, among }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  const get = number =>
    new Promise((done, failed) => {
      const request = http.get({ port, host: '127.0.0.1', path: path() + number, headers: FIELDS, agent }, response => {
        // nginx tells nothing of it, and has written when it has answered.
        const status = response.headers['cache-status']
        response.resume().on('end', () => done(response.statusCode === 200 && (!status || / hit/.test(status))))
      })
      request.on('error', failed)
    })
  for (let tries = 0; tries < 10; tries++) {
    let hits = 0
    for (let number = 0; number < among; number += 8) {
      const some = Array.from({ length: 8 }, (_, at) => get((number + at) % among))
      hits += (await Promise.all(some)).filter(hit => hit).length
    }
    if (hits >= among) return agent.destroy()
    await sleep(500)
  }
  throw new Error(`not all is stored: ${child.errors}`)
}

/** User and system ticks of a process and all below it. */
function cpu(root) {
  const below = new Map()
  const ticks = new Map()
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
      ticks.set(Number(pid), [Number(fields[11]), Number(fields[12])])
      below.set(Number(fields[1]), [...(below.get(Number(fields[1])) ?? []), Number(pid)])
    } catch {
      // It has gone meanwhile.
    }
  }
  const sum = pid =>
    (below.get(pid) ?? []).map(sum).reduce(([u, s], [a, b]) => [u + a, s + b], ticks.get(pid) ?? [0, 0])
  return sum(root)
}

const tick = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

let runs = 0
/** Microseconds of user and of all CPU time for each request, and requests in a second. */
function measure({ child, port }, { path, method = 'GET', counts = false, among = 1e9 }) {
  const fields = Object.entries(FIELDS).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const before = cpu(child.pid)
  const output = execFileSync('taskset', [
    '-c', '1', 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-s', script, ...fields,
    `http://127.0.0.1:${port}/`, '--', path(runs++), method, String(counts), String(among),
  ], { encoding: 'utf8' })
  const after = cpu(child.pid)
  const requests = Number(/(\d+) requests in/.exec(output)?.[1])
  const wrong = /Non-2xx|Socket errors/.exec(output)
  if (!requests || wrong) throw new Error(output)
  const [user, system] = [after[0] - before[0], after[1] - before[1]]
  return [(user * tick) / requests, ((user + system) * tick) / requests, requests / SECONDS]
}

/** Until what comes takes the place of what was there: while a store grows it asks for fresh memory, which costs what the machine, and who hosts it, makes of that. */
function saturate(server, test) {
  for (let sent = 0; sent < FILLS; ) sent += measure(server, test)[2] * SECONDS
}

/** Mebibytes in a second, and milliseconds of CPU time, for one large answer. */
function download({ child, port }, kind) {
  const before = cpu(child.pid)
  const output = execFileSync('taskset', [
    '-c', '1', 'curl', '-s', '-o', '/dev/null', '-w', '%{size_download} %{time_total}', `http://127.0.0.1:${port}/${LARGE}/${kind}/${runs++}`,
  ], { encoding: 'utf8' })
  const after = cpu(child.pid)
  const [size, seconds] = output.split(' ').map(Number)
  if (size !== LARGE) throw new Error(`${size} bytes`)
  const spent = after[0] + after[1] - before[0] - before[1]
  return [LARGE / seconds / (1 << 20), (spent * tick) / 1000]
}

/** Instructions for each request, one after the other over one connection, as callgrind counts them. What the operating system does is not among them. */
async function instructions(name, { path, method = 'GET', counts = false }) {
  const port = await freePort()
  const counting = file(`${name}.callgrind`, '')
  // glibc copies some KiB and more with one instruction, which would count once for each byte.
  const child = start(0, [
    'env', 'GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000',
    'valgrind', '--tool=callgrind', '--instr-atstart=no', `--callgrind-out-file=${counting}`, ...SERVERS[name](port),
  ])
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const send = async (run, count) => {
    for (let number = 0; number < count; number++) {
      await new Promise((done, failed) => {
        const target = counts ? `${path(run)}${number}` : path(run)
        const request = http.request({ port, host: '127.0.0.1', path: target, method, headers: FIELDS, agent }, response => {
          response.resume().on('end', () => (response.statusCode === 200 ? done() : failed(new Error(`${response.statusCode} for ${target}`))))
        })
        request.on('error', failed).end()
      })
    }
  }
  const control = switched => execFileSync('callgrind_control', ['-i', switched, String(child.pid)], { stdio: 'ignore' })
  await ready(child, port, path(0), method)
  await send(runs++, COUNTED / 10)
  control('on')
  await send(runs++, COUNTED)
  control('off')
  agent.destroy()
  child.kill('SIGTERM')
  await new Promise(done => child.on('exit', done))
  const [, total] = /^totals: (\d+)$/m.exec(readFileSync(counting, 'utf8')) ?? [0, 0]
  if (!Number(total)) throw new Error(`nothing was counted: ${child.errors}`)
  return Number(total) / COUNTED
}

async function count() {
  for (const test of CASES) {
    const names = ['hyper', 'floor', 'proxy', 'layer', 'edge'].filter(name => takesPart(test, name) && (!wanted.length || wanted.includes(name)))
    if (!names.length || !test.name.startsWith(NAMED)) continue
    console.log(`\n${test.name}`)
    row('', 'instructions')
    for (const name of names) row(name, (await instructions(name, test)).toFixed(0))
  }
}

async function time() {
  const servers = []
  for (const [name, command] of Object.entries(SERVERS)) {
    if (wanted.length && !wanted.includes(name)) continue
    const port = await freePort()
    const child = start(0, command(port))
    for (const path of ['/1024/hit', '/65536/hit', '/1024/options']) await ready(child, port, path)
    servers.push({ name, child, port })
  }
  for (const test of CASES) {
    const takePart = servers.filter(({ name }) => takesPart(test, name))
    if (!takePart.length || !test.name.startsWith(NAMED)) continue
    if (test.among) for (const server of takePart) await fill(server, test)
    if (test.whenFull) for (const server of takePart) saturate(server, test)
    const samples = new Map(takePart.map(server => [server, []]))
    for (let round = 0; round < ROUNDS; round++) {
      // Each round begins with another one.
      const turn = round % takePart.length
      for (const server of [...takePart.slice(turn), ...takePart.slice(0, turn)]) samples.get(server).push(measure(server, test))
    }
    console.log(`\n${test.name}`)
    row('', 'user, us', 'user+system, us', 'requests/s')
    for (const [{ name }, all] of samples) {
      const [user, total, rate] = medians(all)
      row(name, user.toFixed(2), total.toFixed(2), rate.toFixed(0))
    }
  }
  const streaming = servers.filter(({ name }) => !['hyper', 'floor', 'edge-disk'].includes(name))
  for (const kind of ['stored', 'private']) {
    if (!`large, ${kind}`.startsWith(NAMED)) continue
    for (const server of streaming) for (let bytes = 0; bytes < 2 * (STORE << 20); bytes += LARGE) download(server, kind)
    const samples = new Map(streaming.map(server => [server, []]))
    for (let round = 0; round < ROUNDS; round++) for (const server of streaming) samples.get(server).push(download(server, kind))
    console.log(`\nlarge, ${kind}: a miss of ${LARGE >> 20} MiB, one client`)
    row('', 'MiB/s', 'CPU, ms')
    for (const [{ name }, all] of samples) {
      const [rate, spent] = medians(all)
      row(name, rate.toFixed(0), spent.toFixed(0))
    }
  }
}

const median = numbers => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]
const medians = samples => samples[0].map((_, column) => median(samples.map(sample => sample[column])))
const row = (name, ...columns) => console.log(name.padEnd(10), ...columns.map(column => String(column).padStart(16)))

try {
  await ready(start(1, [floor, 'origin', `127.0.0.1:${origin}`]), origin, '/1024/hit')
  await (COUNTED ? count() : time())
} finally {
  const gone = started.map(child => new Promise(done => (child.gone !== undefined ? done() : child.on('exit', done))))
  for (const child of started) child.kill('SIGTERM')
  await Promise.race([Promise.all(gone), sleep(5000)])
  for (const child of started) if (child.gone === undefined) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
