package edge

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

// maxFailedResumes bounds the ids that one connection may guess.
const maxFailedResumes = 5

// client is one WebSocket connection. All of it is owned by the loop of its
// socket.
type client struct {
	w    *worker
	conn *wire.Conn
	a    *attachment // the session it holds; nil before the first and after the last

	identity    string
	expiry      *wire.Timer // of the token
	arrival     *arrival    // nil: the session is ready
	class       session.Class
	busy        bool // authentication, opening or a resume is under way: not read from
	closing     bool
	paused      bool // not read from, until the way to NATS is free
	failures    uint8
	calls       uint8  // blocking calls under way: see call
	outstanding uint16 // [METHOD] requests
	retireAt    uint32 // when its age ends it, see retirement; 0: never
}

// arrival is what a client needs only until its session is ready, so that an
// idle one does not pay for it.
type arrival struct {
	deadline *wire.Timer
	auth     []byte // authResponse for the welcome
	token    string // resume secret for the welcome
}

// arriving returns what the client needs until its session is ready.
func (c *client) arriving() *arrival {
	if c.arrival == nil {
		c.arrival = new(arrival)
	}
	return c.arrival
}

// addr is the client's address, as far as proxies are trusted.
func (c *client) addr() netip.Addr { return c.conn.RemoteAddr().Addr() }

// Open implements [wire.Handler].
func (n *Node) Open(conn *wire.Conn) {
	w := n.workerOf(conn.Loop())
	accepted := conn.Data().(*accepted)
	c := &client{w: w, conn: conn, identity: accepted.identity.Name, retireAt: n.retirement(w.loop.Now())}
	if accepted.acked {
		c.class = session.Acked
	}
	conn.SetData(c)
	n.connections.Add(1)
	if accepted.refusal != "" {
		c.close(protocol.CloseUnauthentic, accepted.refusal)
		return
	}
	c.wait()
	c.arriving().deadline = w.loop.AfterFunc(n.cfg.HandshakeTimeout, func() {
		n.m.Dropped.Inc(stats.DropOpenTimeout)
		c.close(protocol.CloseOverload, "session could not be opened in time")
	})
	if n.cfg.Auth == config.AuthService {
		c.authenticate(accepted)
		return
	}
	c.expireAt(accepted.identity.Expires)
	c.start()
}

// start opens the session of an admitted client.
func (c *client) start() {
	token := newToken()
	c.arriving().token = token
	c.a = c.w.open(c, token)
}

// Message implements [wire.Handler].
func (n *Node) Message(conn *wire.Conn, _ bool, p []byte) {
	c, ok := conn.Data().(*client)
	if !ok || c.closing {
		return
	}
	c.route(p)
}

// wait stops reading until the session is there that messages are for. What
// the client sends meanwhile, and then perhaps its goodbye, lies in TCP's
// buffers, so that all of it is handled, in order, and the client is held back.
func (c *client) wait() {
	c.busy = true
	c.conn.Pause()
}

// ready lets the client go on after wait.
func (c *client) ready() {
	c.busy = false
	c.arrival = nil
	c.readOn()
}

// readOn reads again unless something still speaks against it.
func (c *client) readOn() {
	if !c.busy && !c.paused && !c.closing && c.calls < maxCallsPerClient {
		c.conn.Resume()
	}
}

// Pong implements [wire.Handler]: the answer to a barrier proves that all
// before it arrived (RFC 6455 §5.5.3).
func (n *Node) Pong(conn *wire.Conn, p []byte) {
	c, ok := conn.Data().(*client)
	if !ok || c.a == nil || !c.a.listening {
		return
	}
	token := uint64(0) // of a keepalive
	if len(p) == 8 {
		token = binary.BigEndian.Uint64(p)
	}
	a := c.a
	a.core.Pong(token, a) // also while it is suspended: what the client has read is so, whoever owns the session
	if a.releasing() && a.core.Released() {
		a.released()
	}
}

// barrier sends the Ping whose Pong confirms delivery.
func (c *client) barrier(token uint64) {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], token)
	c.conn.Ping(p[:])
}

// Writable implements [wire.Handler].
func (n *Node) Writable(conn *wire.Conn) {
	if c, ok := conn.Data().(*client); ok && c.a != nil {
		a := c.a
		a.whenActive(writable, func() {
			// What was kept during a suspension may have been filled up since.
			if !conn.Full() {
				a.core.Writable(a)
			}
		})
	}
}

// Closed implements [wire.Handler].
func (n *Node) Closed(conn *wire.Conn, _ wire.CloseReason) {
	n.connections.Add(-1)
	c, ok := conn.Data().(*client)
	if !ok {
		return
	}
	c.closing = true
	c.stopTimers()
	c.arrival = nil
	if a := c.a; a != nil {
		c.a = nil
		a.park()
	}
}

// Flush implements [wire.Handler]: what the iteration asked of NATS goes out.
func (n *Node) Flush(l *wire.Loop) { n.workerOf(l).out.flush() }

// send queues one text frame and reports whether there is room for more.
func (c *client) send(kind stats.Sent, payload []byte) bool {
	queued, room := c.conn.Send(payload)
	switch {
	case queued:
		c.w.tally.Out[kind].Add(len(payload))
	case !c.closing:
		// Nothing else bounds what a client asks for and does not read. What
		// its mailbox holds comes again when it resumes.
		c.w.node.m.Dropped.Inc(stats.DropSlow)
		c.close(protocol.CloseSlow, "client does not read")
	}
	return room
}

// errNotQueued marks the span of a message that its socket did not take.
var errNotQueued = errors.New("edge: client does not read")

// sendTraced is send for a message that may be part of a trace. Its span ends
// when the frame is queued, which is written at the end of the loop's iteration.
func (c *client) sendTraced(kind stats.Sent, parent string, payload []byte) bool {
	span := c.w.tracing.delivery(parent, kind)
	room := c.send(kind, payload)
	if span != nil {
		var err error
		if c.closing {
			err = errNotQueued
		}
		endSpan(span, err)
	}
	return room
}

// reply sends a message of the edge itself.
func (c *client) reply(kind stats.Sent, msg protocol.Message) bool {
	w := c.w
	w.buf = w.encode(w.buf[:0], msg)
	return c.send(kind, w.buf)
}

// encode writes a message of the edge itself.
func (w *worker) encode(dst []byte, msg protocol.Message) []byte {
	return msg.Append(dst, w.node.fromRouter, time.Now())
}

// close ends the connection after what is pending.
func (c *client) close(code protocol.Close, reason string) {
	if c.closing {
		return
	}
	c.closing = true
	c.stopTimers()
	// A last barrier before the close frame: its pong still counts. Not if the
	// queue is what ends it: the machine is in the middle of a message that was
	// not taken, and the barrier would be behind that.
	if a := c.a; a != nil && a.listening && !a.suspended && code != protocol.CloseSlow {
		a.core.Release(a)
	}
	c.w.node.m.Closes.Inc(code)
	c.conn.Close(code.Number(), reason)
}

// discard ends the connection without what is pending: the session's messages
// are another connection's to deliver.
func (c *client) discard(code protocol.Close, reason string) {
	if c.closing {
		c.conn.Discard(code.Number(), reason) // it may be held since before it was closed
		return
	}
	c.closing = true
	c.stopTimers()
	c.w.node.m.Closes.Inc(code)
	c.conn.Discard(code.Number(), reason)
}

func (c *client) stopDeadline() {
	if r := c.arrival; r != nil && r.deadline != nil {
		r.deadline.Stop()
		r.deadline = nil
	}
}

func (c *client) stopTimers() {
	c.stopDeadline()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
}

// welcome sends the connection message of a session that has just got here.
func (c *client) welcome(a *attachment) {
	if c.closing {
		return
	}
	n := c.w.node
	a.welcomed = true
	c.stopDeadline()
	r := c.arriving()
	welcome := c.greeting(a.sid)
	welcome.Auth = r.auth
	var body []byte
	if a.fresh {
		welcome.Token = r.token
		body = welcome.Append(nil)
		a.event(bus.SessionOpened, "")
		n.m.Lifecycle.Inc(stats.Opened)
	} else {
		body = welcome.AppendAnswer(nil, protocol.Resumed)
		a.event(bus.SessionResumed, "")
		n.m.Lifecycle.Inc(stats.Resumed)
		n.m.Resumes.Inc(protocol.Resumed)
		a.Dirty()
	}
	r.auth, r.token = nil, ""
	c.greet(a.sid, body)
	c.ready()
}

// greeting is the body of a connection message, but for what differs.
func (c *client) greeting(sid string) protocol.Welcome {
	cfg := &c.w.node.cfg
	return protocol.Welcome{ID: sid, IP: c.addr().String(), TTL: cfg.SessionTTL, Heartbeat: cfg.PingInterval, Window: cfg.Window}
}

// greet sends a connection message.
func (c *client) greet(sid string, body []byte) {
	c.reply(stats.OutConnection, protocol.Message{To: protocol.ClientAddress(sid), Type: protocol.TypeConnection, Body: body})
}
