// A client that was written from edge/client/PROTOCOL.md alone, to see whether that says
// enough. It has no signatures and no storage.
const KEEP = 50_000, fail = (code, more) => Object.assign(new Error(more?.error ?? code), more, { code })
const remember = (set, x) => { if (set.add(x).size > 10_000) set.delete(set.values().next().value) }

export function connect(urls, { WebSocket = globalThis.WebSocket, token, timeout = 10_000 } = {}) {
  const heard = {}, pending = new Map(), seen = new Set(), asked = new Set(), pings = new Map(), timers = {}
  let over, ws, id, secret, router, greeting, asking, caps = [], gen = 0, attempt = 0, last = 0n, bound = 500, since
  let written = 0, unacked = 0, auth, want = token && 'first', refused = false, expires, authMid
  const on = (event, fn) => { (heard[event] ??= []).push(fn) }
  const emit = (event, x) => heard[event]?.forEach(fn => {
    try { fn(x) } catch (e) { if (event !== 'error') emit('error', fail('handler', { error: e.message })) }
  })
  const setState = state => { if (me.state !== state) { me.state = state; emit('state', state) } }
  const after = (name, ms, fn) => { clearTimeout(timers[name]); timers[name] = setTimeout(fn, Math.min(ms, 2e9)) }
  const write = m => { if (ws?.readyState === 1) ws.send(JSON.stringify(m)) }
  const tell = (type, body, from = id, mid = crypto.randomUUID()) => { // tells the router
    write({ to: router.split('@').pop(), from: from + '@client:/', mid, type, body })
    return mid
  }
  async function open() {
    const g = ++gen, current = fn => e => { if (g === gen) fn(e) }
    setState('connecting')
    after('begin', timeout, () => lost(1006))
    try {
      if (expires && Date.now() >= expires) want ??= 'expiring'
      const t = want ? await token(want) : auth
      if (g !== gen) return
      if (want === 'refused' && !t) return end(4401)
      auth = t, want = null
      const resume = secret && `umf.resume.${id}.${secret}.${++attempt}.${last}`
      if (!secret) attempt++
      ws = new WebSocket([urls].flat()[(attempt - 1) % [urls].flat().length],
        ['umf.ack.v1', auth && `umf.auth.${auth}`, resume].filter(Boolean))
      ws.onmessage = current(e => receive(JSON.parse(e.data)))
      ws.onclose = current(e => lost(e.code, e.reason))
      ws.onerror = () => setTimeout(current(() => ws.readyState === 3 && lost(1006)), 50) // some tell no close
    } catch (e) { if (g === gen) { emit('error', fail('connect', { error: e.message })); lost(1006) } }
  }
  function leave() {
    gen++, unacked = 0, router = asking = authMid = undefined, pings.clear()
    Object.values(timers).forEach(clearTimeout)
    if (ws) { ws.onmessage = ws.onclose = null, ws.onerror = () => {}; try { ws.close() } catch {} ws = null }
  }
  function lost(code, reason) {
    leave()
    for (const p of pending.values()) if (p.first) { // 1002…: one of the frames is at fault, it is not told which
      const left = p.ask ? Infinity : p.first + KEEP - Date.now()
      if ([1002, 1007, 1009].includes(code) || !p.again || left <= 0) settle(p, fail('unknown'))
      else if (!p.ask) setTimeout(() => me.state !== 'open' && settle(p, fail('unknown')), left)
    }
    if (code >= 4500 && code < 4600 || code === 4401 && (!token || refused)) return end(code, reason)
    if (code === 4401) refused = true, want = 'refused'
    if (since && Date.now() - since > bound) bound = 500
    after('wait', Number(/(?:^| )retry=(\d+)$/.exec(reason)?.[1] ?? Math.random() * bound), open)
    bound = Math.min(bound * 2, 30_000), since = undefined
    setState('waiting')
  }
  function end(code, reason) {
    if (over) return
    over = fail(String(code), { error: reason || 'closed' })
    if (unacked) confirm()
    leave()
    for (const p of pending.values()) settle(p, p.first ? fail('unknown') : over)
    setState('closed')
  }
  function receive(m) {
    const { typ, rmid, bdy: b = {} } = m, ours = m.frm === router, seq = m.hdr?.['x-seq'], key = m.mid + ' ' + m.frm
    if (!router) {
      if (typ !== 'connection') return
      router = m.frm, greeting = b, caps = b.caps ?? []
      if (!id || b.resumed !== undefined) return ready(b.resumed === true, b.why)
      return asking = tell('reconnect', { id, token: secret, attempt, seq: `${last}` }, b.id)
    }
    if (asking) {
      if (ours && typ === 'connection') ready(b.resumed ?? b.id === id, b.why)
      else if (ours && typ === 'error' && rmid === asking) ready(false, b.code)
      return
    }
    beatAfter()
    if (typ === 'pong' && !m.frm) return pong(rmid)
    let fresh = !m.mid || ours && !seq || !seen.has(key), p = pending.get(rmid)
    if (m.mid && !(ours && !seq)) remember(seen, key)
    if (seq && (BigInt(seq) > last || fresh && ours && typ === 'gap' && b.why === 'rollback')) last = BigInt(seq)
    else if (seq) fresh = false
    if (fresh) {
      if (p?.ask && !(ours && typ === 'accepted')) settle(p, typ === 'error' && fail(b.code ?? 'service', b), m)
      else if (asked.has(rmid)) { /* another answer to a question */ }
      else if (!ours && ['connection', 'accepted', 'gap', 'error'].includes(typ)) emit('error', fail('protocol', b))
      else if (ours && rmid && rmid === authMid) renewed(typ, b)
      else if (ours && p && (typ === 'accepted' || typ === 'error')) settle(p, typ === 'error' && fail(p.twice ? 'unknown' : b.code, b))
      else if (ours && typ === 'error') emit('error', fail(b.code, b))
      else if (ours && typ === 'gap') emit('gap', b)
      else if (!ours || typ !== 'connection' && typ !== 'accepted') emit('message', m)
    }
    if (!seq || !caps.includes('ack') || !ws) return
    if (++unacked >= Math.min(32, (greeting.win ?? 64) / 2)) confirm()
    else if (unacked === 1) after('ack', 10, confirm)
  }
  const confirm = () => { clearTimeout(timers.ack); unacked = 0; tell('ack', { seq: `${last}` }) }
  function ready(resumed, why = null) {
    clearTimeout(timers.begin)
    asking = undefined, refused = false, since = Date.now()
    if (!resumed) id = greeting.id, secret = greeting.token, last = 0n
    for (const p of pending.values()) {
      const known = resumed && caps.includes('accepted') && Date.now() - p.first < KEEP
      if (p.first && !p.ask && !known) settle(p, fail('unknown')); else transmit(p)
    }
    renewAt(greeting.exp), beatAfter(), setState('open'), emit('session', { id, resumed, why })
  }
  const ping = () => pings.set(tell('ping', {}), written)
  const beat = () => { ping(); after('beat', timeout, () => lost(1006)) }
  const beatAfter = () => after('beat', (greeting.hb ?? 25) * 1000, beat)
  function pong(mid) { // without "accepted", what lies before an answered ping has been taken
    if (!caps.includes('accepted')) for (const p of pending.values()) if (!p.ask && p.order <= pings.get(mid)) settle(p)
    pings.delete(mid)
  }
  function renewAt(exp) {
    clearTimeout(timers.renew)
    const left = exp - greeting.now - (Date.now() - since)
    expires = exp && token && Date.now() + left
    if (expires) after('renew', Math.max(0, left - Math.min(60_000, left / 2)), renew)
  }
  async function renew() {
    const g = gen, t = await (async () => token('expiring'))().catch(e => emit('error', fail('token', e)))
    if (g !== gen || t === null) return
    if (!t) return after('renew', timeout, renew)
    auth = t
    if (caps.includes('auth')) authMid = tell('auth', { token: t }); else lost(1006) // a new connection with it
  }
  function renewed(typ, b) {
    if (typ === 'accepted') return renewAt(b.exp)
    emit('error', fail(b.code, b))
    if (!/^(unavailable|overload)$/.test(b.code)) return
    after('renew', b.retry ?? 1000, () => { authMid = tell('auth', { token: auth }) })
  }
  function put(p) {
    p.mid ??= crypto.randomUUID()
    if (pending.has(p.mid)) return pending.get(p.mid).promise
    if (over || !p.body) return Promise.reject(over ?? fail('invalid_message'))
    p.promise = new Promise((resolve, reject) => Object.assign(p, { resolve, reject }))
    pending.set(p.mid, p), asked.delete(p.mid)
    if (p.ask) p.timer = setTimeout(() => settle(p, fail('timeout')), p.ask)
    if (me.state === 'open') transmit(p)
    return p.promise
  }
  function transmit(p) {
    if (ws?.readyState !== 1) return // its close is about to be told
    const { mid, type, ttl, body, queue } = p, name = router.split('@').pop(), ack = caps.includes('accepted') && !p.ask
    const to = queue ? name + 'queue' : p.to, headers = ack ? { ...p.headers, 'x-ack': true } : p.headers
    p.twice = !p.ask && p.first !== undefined
    p.first ??= Date.now(), p.order = ++written, p.again = p.ask || ack && (queue || /^[^@]+@client:\//.test(to))
    write({ to, from: id + '@client:/', headers, mid, type, ttl, forward: queue ? p.to : undefined, body })
    if (!ack && !p.ask) queueMicrotask(() => { if (written === p.order && router) ping() })
  }
  function settle(p, error, value) {
    if (pending.get(p.mid) !== p) return
    pending.delete(p.mid)
    clearTimeout(p.timer)
    if (p.ask) remember(asked, p.mid)
    error ? p.reject(error) : p.resolve(value)
  }
  const me = {
    state: 'connecting', get session() { return id }, on, close: () => end('closed'),
    send: (to, body, options) => put({ ...options, to, body }),
    request: (to, body, { timeout: ask = timeout, mid } = {}) => put({ to, body, mid, ask }),
  }
  open()
  return me
}
