package shard

import (
	"encoding/binary"
	"net/netip"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
)

// maxResumes bounds the resumes that one connection may ask for, whatever comes of
// them: it may try a few ids, and needs one. Each that is granted costs NATS dozens of
// messages, also where a client moves between sessions of its own.
const maxResumes = 5

// Client is one WebSocket connection. All methods must be called on the loop of
// its socket. Client and session part when the socket is gone (the session is
// parked), when another socket takes the session, or when the directory names
// another holder. It has a method for each kind of message, and so more than a type
// should have.
type Client struct {
	s    *Shard
	conn Socket
	has  *held // the session it has; nil before the first and after the last
	want *held // the session that it claims; nil: none

	rights      *policy.Rights // and who it is; nil before it is admitted
	account     *quota.Account // what it pays with; nil before it is admitted
	expiry      Timer          // of the token
	arrival     *arrival       // nil: the session is ready
	class       session.Class
	second      bool // edition of the protocol: umf.v1 or umf.ack.v1 was offered
	busy        bool // authentication, opening or a resume is under way: not read from
	closing     bool
	leaves      bool   // is to be closed when it is not busy any more
	taking      bool   // closing, and its messages are taken until its close frame
	paused      bool   // not read from, until the way to NATS is free
	resumes     uint8  // refused and granted
	calls       uint8  // blocking calls and look-ups under way: see call
	outstanding uint8  // [METHOD] requests
	retireAt    uint32 // when its age ends it, see retirement; 0: never
	expires     uint32 // when its token ends, in seconds of Unix time; counts with expiry
}

// arrival is what a client needs only until its session is ready, so that an
// idle one does not pay for it.
type arrival struct {
	deadline Timer
	auth     []byte           // authResponse for the welcome
	token    string           // resume secret for the welcome
	resume   *protocol.Resume // what it asks for
	refused  protocol.Outcome // of what it asked for with the handshake; Resumed: nothing was
	shared   bool             // its address is a proxy's, and so many others'
	instead  scheme.SID       // of the session that it has not been given; see withoutSession
}

// arriving returns what the client needs until its session is ready.
func (c *Client) arriving() *arrival {
	if c.arrival == nil {
		c.arrival = new(arrival)
	}
	return c.arrival
}

// Arrival is what the handshake has found out about a client.
type Arrival struct {
	Acked    bool // umf.ack.v1 was agreed
	Second   bool // edition of the protocol: umf.v1 or umf.ack.v1 was offered
	Identity access.Identity
	Refusal  string // not empty: the connection is closed 4401 with it
	Token    string // as received, for EDGE_AUTH=service
	Origin   string
	URI      string
	Shared   bool             // the address is that of a trusted proxy, which does not say whom it speaks for
	Resume   *protocol.Resume // the session that is asked for, of the second edition only; nil: none
}

// holdAnswer is for how long the answer to the handshake waits for the welcome. They
// leave together where NATS is not slower than that. Not so to clients of the first
// edition: some begin to listen only when they have the answer, perhaps too late for
// what comes with it.
const holdAnswer = 100 * time.Millisecond

// Open begins with a connection. Its session is opened, or its authentication
// begins.
func (s *Shard) Open(conn Socket, a *Arrival) *Client {
	n := s.node
	c := &Client{s: s, conn: conn, second: a.Second, retireAt: s.retirement()}
	if a.Acked {
		c.class = session.Acked
	}
	if a.Refusal != "" {
		c.close(protocol.CloseUnauthentic, a.Refusal)
		return c
	}
	c.wait()
	if c.second {
		conn.Hold(holdAnswer)
	}
	c.arriving().shared, c.arriving().resume = a.Shared, a.Resume
	c.openInTime()
	if n.Config.Auth == config.AuthService {
		c.authenticate(a)
		return c
	}
	c.admitted(a.Identity)
	return c
}

// openInTime closes the connection if its session is not there in time.
func (c *Client) openInTime() {
	c.inTime("session could not be opened in time", func() { c.s.node.Metrics.Dropped.Inc(stats.DropOpenTimeout) })
}

// inTime closes the connection if it has no session in the time for one, from now on.
func (c *Client) inTime(reason string, late func()) {
	c.stopDeadline()
	c.arriving().deadline = c.s.loop.AfterFunc(c.s.node.Config.HandshakeTimeout, func() {
		late()
		c.close(protocol.CloseOverload, reason)
	})
}

// addr is the client's address, as far as proxies are trusted.
func (c *Client) addr() netip.Addr { return c.conn.RemoteAddr().Addr() }

// Message takes one message of the client. p is borrowed until it returns.
func (c *Client) Message(p []byte) {
	c.heard()
	switch {
	case !c.takes():
	case !c.account.Take(len(p), c.s.uptime()):
		c.s.node.Metrics.Dropped.Inc(stats.DropRate)
		c.close(protocol.CloseRate, "too much from this user or address")
	case c.has == nil:
		c.routeWithoutSession(p)
	default:
		c.route(p)
	}
}

// wait stops reading until the session is there that messages are for. What the
// client sends meanwhile, and then perhaps its goodbye, lies in TCP's buffers, so
// that all of it is handled, in order, and the client is held back.
func (c *Client) wait() {
	c.busy = true
	c.conn.Pause()
}

// ready lets the client go on after wait.
func (c *Client) ready() {
	c.busy = false
	c.stopDeadline()
	c.arrival = nil
	c.readOn()
}

// readOn reads again unless something still speaks against it.
func (c *Client) readOn() {
	if c.leaves && !c.busy {
		c.leave()
	}
	if !c.busy && !c.paused && c.takes() && c.calls < maxCallsPerClient {
		c.conn.Resume()
	}
}

// Pong takes a pong. The answer to a barrier proves that all before it arrived
// (RFC 6455 §5.5.3).
func (c *Client) Pong(p []byte) {
	c.heard()
	h := c.has
	if h == nil || !h.listening() {
		return
	}
	if c.conn.PingWaits(p) { // it answers what has not been asked, as a proxy may that knows our Pings
		c.s.node.Metrics.Dropped.Inc(stats.DropEarlyPong)
		return
	}
	token := uint64(0) // of a keepalive
	if len(p) == 8 {
		token = binary.BigEndian.Uint64(p)
	}
	h.core.Pong(token, h.session()) // also in doubt: what the client has read is so, whoever owns the session
	if h.core.Settled() {
		h.owner.Quiet(h.ownership())
	}
}

// barrier sends the Ping whose Pong confirms delivery.
func (c *Client) barrier(token uint64) {
	p := &c.s.ping
	binary.BigEndian.PutUint64(p[:], token)
	c.conn.Ping(p[:])
}

// Writable reports that the socket takes messages again.
func (c *Client) Writable() {
	if h := c.has; h != nil {
		h.whenServed(writable, func() {
			// What was kept in doubt may have been filled up since.
			if !c.conn.Full() {
				h.core.Writable(h.session())
			}
		})
	}
}

// Hangup reports that the client will send nothing more than it has sent. A request
// for a session that comes so late claims nothing: the client has gone elsewhere.
func (c *Client) Hangup() {
	if h := c.want; h != nil {
		h.owner.Closed(c.s.uptime(), h.ownership())
	}
}

// Closed reports that the connection has ended.
func (c *Client) Closed() {
	c.closing = true
	c.stopTimers()
	c.arrival = nil
	if h := c.want; h != nil {
		c.want = nil
		h.abandon()
	}
	if h := c.has; h != nil {
		c.has = nil
		if h.client == c { // or it has gone elsewhere meanwhile, see letGo
			if h.unused() {
				c.account.Unused(c.s.uptime())
			}
			h.abandon()
		}
	}
	c.s.node.Accounts.Close(c.account)
}

// send queues one text frame and reports whether there is room for more.
func (c *Client) send(kind stats.Sent, payload []byte) bool {
	queued, room := c.conn.Send(payload)
	switch {
	case queued:
		c.s.tally.Out[kind].Add(len(payload))
	case !c.closing:
		// Nothing else bounds what a client asks for and does not read. What
		// its mailbox holds comes again when it resumes.
		c.s.node.Metrics.Dropped.Inc(stats.DropSlow)
		c.close(protocol.CloseSlow, "client does not read")
	}
	return room
}

// reply sends a message of the node itself.
func (c *Client) reply(kind stats.Sent, m protocol.Message) bool {
	s := c.s
	s.buf = s.encode(s.buf[:0], &m)
	return c.send(kind, s.buf)
}

// encode appends a message of the node itself.
func (s *Shard) encode(dst []byte, m *protocol.Message) []byte {
	return m.Append(dst, s.node.Router, s.loop.Now())
}

// takes reports whether messages of the client are taken.
func (c *Client) takes() bool { return !c.closing || c.taking }

// leaveBusy bounds how long a planned close waits for a client that is not read from.
const leaveBusy = 2 * time.Second

// leave is a planned close. The client has done nothing wrong, and knows of it when
// it reads the close frame: what it has sent before is taken, and then its session is
// parked. While its session opens, or moves, it is not known yet whose that is, so the
// close waits.
func (c *Client) leave() {
	switch {
	case c.closing:
	case !c.busy, c.has == nil: // nor is it said who the client is, before it has one
		c.rest()
		c.close(protocol.CloseRestart, comeBack)
	case !c.leaves:
		c.leaves = true
		c.s.loop.AfterFunc(leaveBusy, func() {
			if c.leaves {
				c.close(protocol.CloseRestart, comeBack)
			}
		})
	}
}

// rest has messages taken that come after the close frame that follows, if it is
// known whose they are.
func (c *Client) rest() {
	if !c.busy && !c.closing {
		c.taking = true
		c.conn.TakeRest()
	}
}

// close ends the connection after what is pending. A client that is closed for what
// it has sent after a planned close has nothing more to say.
func (c *Client) close(code protocol.Close, reason string) {
	if c.closing {
		c.taking = false
		return
	}
	c.closing, c.leaves = true, false
	c.stopTimers()
	if h := c.has; h != nil && (code == protocol.CloseRestart || code == protocol.CloseGoingAway) {
		h.used = true // the client would have kept it
	}
	// A last barrier before the close frame: its pong still counts. Not if the
	// queue is what ends it: the session is in the middle of a message that was
	// not taken, and the barrier would be behind that.
	if h := c.has; h != nil && h.served() && code != protocol.CloseSlow {
		h.core.Settle(h.session())
	}
	c.s.node.Metrics.Closes.Inc(code)
	c.conn.Close(code.Number(), c.reason(code, reason))
}

// discard ends the connection without what is pending: the session's messages
// are another connection's to deliver.
func (c *Client) discard(code protocol.Close, reason string) {
	if c.closing {
		c.conn.Discard(code.Number(), c.reason(code, reason)) // it may be frozen since before it was closed
		return
	}
	c.closing = true
	c.stopTimers()
	c.s.node.Metrics.Closes.Inc(code)
	c.conn.Discard(code.Number(), c.reason(code, reason))
}

func (c *Client) stopDeadline() {
	if r := c.arrival; r != nil && r.deadline != nil {
		r.deadline.Stop()
		r.deadline = nil
	}
}

func (c *Client) stopTimers() {
	c.stopDeadline()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
}
