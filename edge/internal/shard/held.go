package shard

import (
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
)

// held is one session that a socket of this shard has, or claims. Two machines
// decide about it: core delivers its mailbox (package session), owner keeps it
// this shard's (package ownership). held performs what they ask for, as
// sessionEffects and ownershipEffects.
type held struct {
	// Immutable after open or claim.
	s       *Shard
	sid     scheme.SID
	class   session.Class
	resumed bool // it was claimed, and is not fresh

	// Owned by the loop.
	returns    returns
	used       bool    // the client has sent, or was sent, a message: others may know the session
	dirtySince uint32  // uptime when the positions moved, in milliseconds; 0: they are written
	client     *Client // nil once the socket is gone
	owner      ownership.Machine
	core       session.Session
	deliver    Timer         // the core's
	patience   Timer         // the owner's
	renewed    time.Duration // uptime when its anchor and its entry were renewed
	rivals     uint64        // sequence of the last marker of a rival that was noted
	waiting    *waiting      // nil: nothing waits
	inherits   *inheritance  // nil: nothing that another node has kept
	talk       *talk         // nil: with nobody yet

	subscription *egress.Subscription // what it points to is the outbox's; nil: there is none
}

// returns says how far a session that was claimed has got.
type returns uint8

const (
	settled   returns = iota // it is live, or was never away
	returning                // it is not live yet
	orphaned                 // as returning; the node that had it has died
	joined                   // as returning; the crowd has been asked, or told that it reads by itself
)

// waiting is what a held session has only in rare moments.
type waiting struct {
	answers []func(takeover.Answer) // to nodes that have asked for the session
	late    [numEvents]func()       // events that wait while the session is in doubt
	queued  bool                    // something waited for the socket when the process stalled
	inquiry *inquiry                // whether the client lives; nil: nobody asks
	proof   logProof                // that what the claim relies on is of the log that there is
	kept    keptBy                  // who keeps what comes since it has handed the session over
}

// keptBy is a holder that has handed a session over and keeps what comes for it.
type keptBy struct {
	node   scheme.NodeID
	holder uint64 // 0: none
}

// talk is what a session that talks with others has of it. Each part is made with the
// first message that needs it.
type talk struct {
	service nats.Header // says to services who sent a message
	client  []byte      // says so to clients, see [protocol.AppendSender]
	heard   *heard      // whom its client may answer; nil: none that its rules leave out
}

// talks returns where to keep that.
func (h *held) talks() *talk {
	if h.talk == nil {
		h.talk = new(talk)
	}
	return h.talk
}

// wait returns what to put into that others, or events, wait.
func (h *held) wait() *waiting {
	if h.waiting == nil {
		h.waiting = new(waiting)
	}
	return h.waiting
}

// session returns the effects of the core.
func (h *held) session() session.Effects { return (*sessionEffects)(h) }

// ownership returns the effects of the owner.
func (h *held) ownership() ownership.Effects { return (*ownershipEffects)(h) }

// open starts a fresh session for a socket.
func (s *Shard) open(c *Client, sid scheme.SID, token string) *held {
	h := &held{s: s, sid: sid, class: c.class, client: c, renewed: s.uptime()}
	h.owner.Open(scheme.Entry{
		Node: s.node.ID, Holder: randomUint64(), TokenHash: hashToken(token), Identity: c.rights.Identity(),
		Acked: c.class == session.Acked, TokenOnly: c.second, Opened: s.loop.Now().Unix(),
	}, h.ownership())
	return h
}

// listening reports whether the mailbox is read for the session.
func (h *held) listening() bool {
	state := h.core.State()
	return state != session.Idle && state != session.Stopped
}

// served reports whether the core may write to the client.
func (h *held) served() bool { return h.listening() && h.owner.Phase() != ownership.Doubted }

// welcomed reports whether the client knows that it has the session.
func (h *held) welcomed() bool {
	return h.owner.Phase() == ownership.Served || h.owner.Phase() == ownership.Doubted
}

// event names what can make the core write. Of each kind the last one is kept
// while the session is in doubt, however long that is and whatever the client
// sends: confirmations are cumulative, and of the others one says it all.
type event uint8

const (
	answered  event = iota // a read
	timedOut               // the timer
	confirmed              // by an acked client
	writable               // there is room
	checked                // refresh, sweep, re-attach
	numEvents
)

// whenServed runs an event of the core, now or when the doubt has ended.
func (h *held) whenServed(e event, f func()) {
	switch {
	case !h.listening():
	case h.owner.Phase() != ownership.Doubted:
		f()
	default:
		h.wait().late[e] = f
	}
}

// attach subscribes and lets the core run.
func (h *held) attach(from session.Position, lasting bool) {
	s := h.s
	if before := s.held[h.sid]; before != nil && before != h {
		before.owner.Replaced(before.ownership())
	}
	s.held[h.sid] = h
	h.core.Init(h.class, sessionOptions(s.node.Config))
	if h.subscription == nil {
		h.subscription = new(egress.Subscription)
	}
	s.out.Push(egress.Op{Kind: stats.OpSubscribe, Subject: scheme.LiveWildcard(h.sid), Subscription: h.subscription, Channel: s.live})
	h.core.Attach(from, !h.resumed, lasting, h.session())
}

// stopListening ends the delivery.
func (h *held) stopListening() {
	if subscription := h.detach(); subscription != nil {
		h.s.out.Push(egress.Op{Kind: stats.OpUnsubscribe, Subject: scheme.LiveWildcard(h.sid), Subscription: subscription})
	}
}

// keepsOn goes on listening for a session that is handed over with all confirmed, and
// reports whether it does, or did already as it parked it.
func (h *held) keepsOn() bool {
	if l := h.s.lingering[h.sid]; l != nil && l.key == h.key() {
		return true
	}
	if !h.mayLinger() {
		return false
	}
	known := h.core.Confirmed()
	return known != 0 && h.linger(h.core.Cursor(), known)
}

// abandon ends the service of a session whose socket is gone, or has another one.
// Its messages wait from now on.
func (h *held) abandon() {
	h.client = nil
	lingers := h.mayLinger()
	h.owner.Closed(h.s.uptime(), h.ownership())
	h.silent()
	if h.owner.Phase() == ownership.Parking && !(lingers && h.linger(h.core.Cursor(), h.core.Confirmed())) {
		h.stopListening()
	}
}

// forget lets go of a session that is not this shard's any more.
func (h *held) forget() {
	h.alive() // for all that those know who have only the id
	h.stopListening()
	stop(&h.patience)
	if h.s.held[h.sid] == h {
		delete(h.s.held, h.sid)
	}
	delete(h.s.claims, h.key())
}

// key names this holder.
func (h *held) key() takeover.Key { return takeover.Key{SID: h.sid, Holder: h.owner.Holder()} }

// stop ends a timer, if there is one.
func stop(t *Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// placed tells the owner of a fresh session's first position, once there is one.
func (h *held) placed() {
	if h.owner.Phase() == ownership.Opening && h.core.State() > session.Attaching && h.core.Floor() != 0 {
		h.owner.Placed(h.s.uptime(), h.ownership())
	}
}

// event publishes a session event, at most once.
func (h *held) event(what scheme.SessionEvent) {
	s := h.s
	s.out.Push(egress.Op{Kind: stats.OpEvent, Event: &scheme.Event{
		What: what, Session: h.sid, Node: s.node.ID, Identity: h.owner.Entry().Identity, Time: s.loop.Now(),
	}})
}

// expireLater has a node told when the directory's entry, which was just written,
// may be gone.
func (h *held) expireLater() {
	h.s.out.Push(egress.Op{Kind: stats.OpPublish, Subject: scheme.ExpirySubject(h.sid)})
}

// welcome tells the client that it has the session.
func (c *Client) welcome(h *held) {
	if c.closing {
		return
	}
	n := c.s.node
	r := c.arriving()
	body := c.greeting(h.sid)
	body.Auth = r.auth
	var text []byte
	if h.resumed {
		text = body.AppendAnswer(nil, protocol.Resumed)
		h.event(scheme.SessionResumed)
		n.Metrics.Lifecycle.Inc(stats.Resumed)
		n.Metrics.Resumes.Inc(protocol.Resumed)
		h.session().Dirty()
	} else {
		body.Token = r.token
		if r.refused == protocol.Resumed {
			text = body.Append(nil)
		} else {
			text = body.AppendAnswer(nil, r.refused)
		}
		h.event(scheme.SessionOpened)
		n.Metrics.Lifecycle.Inc(stats.Opened)
	}
	c.reply(stats.OutConnection, protocol.Message{To: protocol.ClientAddress(string(h.sid)), Type: protocol.TypeConnection, Body: text})
	c.ready()
}

// greeting is the body of a connection message.
func (c *Client) greeting(sid scheme.SID) protocol.Welcome {
	cfg := c.s.node.Config
	w := protocol.Welcome{ID: string(sid), IP: c.addr().String(), TTL: cfg.SessionTTL, Heartbeat: cfg.PingInterval, Window: cfg.Window}
	if c.second {
		w.Second, w.Renews, w.Now, w.User, w.Expires = true, c.renews(), c.s.loop.Now(), c.rights.Identity(), c.tokenEnds()
	}
	return w
}
