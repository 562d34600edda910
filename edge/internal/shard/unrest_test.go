package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/tail"
)

// TestUnrest: users connect, leave, and come back anywhere, while answers of NATS
// are late or lost and nodes stand still or are cut off. Whatever happens, a user's
// messages come in order, none is written to an older socket after a newer one was
// welcomed, and when there is rest again none is missing.
func TestUnrest(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newUnrest(t, seed).run() })
	}
}

type unrest struct {
	*lab
	rng   *rand.Rand
	users []*user
	calm  bool
}

// user is a person with a session, and sockets for it one after the other.
type user struct {
	w       *unrest
	id      scheme.SID
	token   string
	acked   bool
	numbers bool // it counts its sockets
	attempt int
	stored  int
	seen    map[int]bool
	sockets []*testClient
	last    map[*testClient]int // message that it was sent
	current *testClient         // was welcomed with the session last; nil: none
}

func newUnrest(t *testing.T, seed uint64) *unrest {
	w := &unrest{lab: newLab(t), rng: rand.New(rand.NewPCG(seed, 1))}
	for range 2 {
		w.node(1 + w.rng.IntN(2))
	}
	for i := range 3 {
		u := &user{w: w, acked: i == 2, numbers: w.rng.IntN(2) == 0, seen: make(map[int]bool), last: make(map[*testClient]int)}
		w.users = append(w.users, u)
		c := w.shard().knock(dialOptions{Arrival: Arrival{Acked: u.acked}})
		c.welcomed()
		u.id, u.token, u.current, u.sockets = c.id, c.token, c, []*testClient{c}
	}
	return w
}

// shard is any one.
func (w *unrest) shard() *testShard {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	return n.shards[w.rng.IntN(len(n.shards))]
}

// chance is true so many times of a hundred.
func (w *unrest) chance(percent int) bool { return w.rng.IntN(100) < percent }

// short is a time that answers take.
func (w *unrest) short() time.Duration { return time.Duration(w.rng.IntN(60)) * time.Millisecond }

// fault is what becomes of a request.
func (w *unrest) fault() (f fault) {
	if w.calm {
		return f
	}
	f.late, f.after = w.short(), w.short()
	switch {
	case w.chance(10):
		f.err, f.lost = store.ErrUnavailable, true
	case w.chance(10):
		f.err = store.ErrUnconfirmed
	case w.chance(5):
		f.after = time.Duration(w.rng.IntN(1500)) * time.Millisecond
	}
	return f
}

// lie is what a node says of a tail that it is asked for, if that is not the truth: it
// says nothing, or what cannot be read, or has another one's.
func (w *unrest) lie() (answer []byte, lies bool) {
	if w.calm || w.chance(70) {
		return nil, false
	}
	other := tail.New(0)
	seq := uint64(1 + w.rng.IntN(200))
	other.Add(&tail.Copy{Seq: seq, Prev: 0, Payload: numbered(w.users[0].id, 1<<20)}, w.clock(), func(int) bool { return true })
	answer = other.Part(randomUint64(), 0, tail.MaxPart, w.clock())
	if w.chance(50) {
		answer = answer[:w.rng.IntN(len(answer))]
	}
	return answer, true
}

func (w *unrest) run() {
	w.nats.faults = faults{
		save: func(*egress.Op) fault { return w.fault() },
		get:  func(scheme.SID) fault { return w.fault() },
		read: func(scheme.SID) fault { return w.fault() },
		tail: func([]byte) ([]byte, bool) { return w.lie() },
	}
	for range 80 {
		w.happen()
		w.advance(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		w.look()
	}
	w.rest()
}

// happen does one thing.
func (w *unrest) happen() {
	u, s := w.users[w.rng.IntN(len(w.users))], w.shard()
	switch w.rng.IntN(12) {
	case 0, 1, 2, 3:
		for range 1 + w.rng.IntN(3) {
			w.nats.append(&stored{sid: u.id, data: numbered(u.id, u.stored)})
			u.stored++
		}
	case 4, 5:
		u.comes(s)
	case 6:
		u.goes()
	case 7:
		s.doze()
		w.after(time.Duration(w.rng.IntN(1500))*time.Millisecond, func() { s.awake(time.Second) })
	case 8:
		s.node.reconnect()
	case 9:
		s.node.cutOff()
		w.after(time.Duration(w.rng.IntN(3000))*time.Millisecond, s.node.rejoin)
	case 10:
		s.deaf = true
		w.after(w.short(), func() {
			s.deaf = false
			s.missed.Store(true)
		})
	case 11:
		s.node.pool.slow = w.short()
	}
}

// comes opens another socket for the session.
func (u *user) comes(s *testShard) {
	c := s.knock(dialOptions{Arrival: Arrival{Acked: u.acked}, noPong: u.w.chance(20)})
	u.sockets = append(u.sockets, c)
	u.attempt++
	body := object{"id": string(u.id), "token": u.token}
	if u.numbers {
		body["attempt"] = u.attempt
	}
	c.id = u.id
	c.asks(body) // what is sent before the session is there waits
}

// goes ends a socket, in one way or another.
func (u *user) goes() {
	if len(u.sockets) == 0 {
		return
	}
	c := u.sockets[u.w.rng.IntN(len(u.sockets))]
	if u.w.chance(50) {
		c.leave()
	} else if c.sock.state != socketClosed && !c.s.asleep {
		c.drop()
	}
}

// look checks what users were sent, in the order in which it came.
func (w *unrest) look() {
	for _, u := range w.users {
		var came []received
		for _, c := range u.sockets {
			for _, m := range c.got {
				came = append(came, received{m, c})
			}
			c.got = nil
		}
		slices.SortFunc(came, func(a, b received) int { return a.number - b.number })
		for _, r := range came {
			u.looks(r.c, r.message)
		}
	}
}

// received is a message on one of a user's sockets.
type received struct {
	message
	c *testClient
}

func (u *user) looks(c *testClient, m message) {
	var i int
	switch _, err := fmt.Sscanf(m.text("mid"), "stored-%d", &i); {
	case err == nil:
		u.seen[i] = true
		if last, some := u.last[c]; some && i <= last {
			u.w.t.Errorf("%s comes behind stored-%d", m.text("mid"), last)
		}
		if c != u.current {
			u.w.t.Errorf("%s comes to an older socket", m.text("mid"))
		}
		u.last[c] = i
		if u.acked {
			c.confirms(m.text("hdr", "x-seq"))
		}
	case m.at("bdy", "resumed") == true && m.text("bdy", "id") == string(u.id):
		u.current = c
	case m.at("bdy", "resumed") == false, m.text("typ") == protocol.TypeGap:
		u.w.t.Errorf("got %s", m.raw)
	}
}

// confirms is ack, without waiting.
func (c *testClient) confirms(seq string) {
	c.raw(fmt.Sprintf(`{"to":"hydra-router:/","frm":"x@client:/","mid":"a","typ":%q,"bdy":{"seq":%q}}`, protocol.TypeAck, seq))
}

// rest lets everything come to an end, and then has each user come back once more.
func (w *unrest) rest() {
	w.calm = true
	for _, n := range w.nodes {
		n.pool.slow = 0
	}
	w.advance(30 * time.Second)
	w.look()
	for _, u := range w.users {
		for try := 0; ; try++ {
			u.comes(w.shard())
			w.advance(20 * time.Second)
			w.look()
			if c := u.sockets[len(u.sockets)-1]; u.current == c && c.code == 0 {
				break
			}
			if try == 3 {
				w.t.Fatalf("%s is not given back: %+v", u.id, w.entry(u.id))
			}
		}
		w.store(u.id, u.stored, u.stored+1)
		u.stored++
		w.look()
		if missing := u.stored - len(u.seen); missing != 0 {
			w.t.Errorf("%d of %d messages are missing", missing, u.stored)
		}
		open := slices.DeleteFunc(slices.Clone(u.sockets), func(c *testClient) bool { return c.sock.state == socketClosed })
		if len(open) != 1 {
			w.t.Errorf("%d sockets are open", len(open))
		}
	}
	w.ends()
}

// ends closes all, and expects that nothing is left.
func (w *unrest) ends() {
	for _, u := range w.users {
		u.sockets[len(u.sockets)-1].drop()
	}
	w.advance(5*time.Second + w.nodes[0].Config.Linger)
	for _, n := range w.nodes {
		if tails, bytes := n.Tails.Held(); tails != 0 || bytes != 0 {
			w.t.Errorf("%d tails of %d bytes are left", tails, bytes)
		}
		for _, s := range n.shards {
			if len(s.held)+len(s.claims)+len(s.sockets) != 0 {
				w.t.Errorf("%d sessions, %d claims, %d sockets are left", len(s.held), len(s.claims), len(s.sockets))
			}
		}
	}
	for subject, list := range w.nats.listeners {
		if len(list) != 0 {
			w.t.Errorf("%s has a listener", subject)
		}
	}
	for _, u := range w.users {
		if e := w.entry(u.id); e.State != scheme.StateParked {
			w.t.Errorf("%+v", e)
		}
	}
}
