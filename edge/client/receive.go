package client

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"strconv"
	"strings"
	"time"

	"hydrant/umf"
)

// A Delivery is a message that arrived.
type Delivery struct {
	*umf.Message
	Gap *Gap // messages are lost, of which Message tells; else nil

	c  *Client
	it *item
}

// A Gap stands in the place of messages that are lost.
type Gap struct {
	From uint64 `json:"from,string"` // sequences, both included
	To   uint64 `json:"to,string"`
	Why  string `json:"why"`            // overflow, expired, rollback
	Lost int    `json:"lost,omitempty"` // how many, where that is known
}

// readGap returns nil where the body is none.
func readGap(m *umf.Message) *Gap {
	g := new(Gap)
	if json.Unmarshal(m.Body, g) != nil || g.Why == "" {
		return nil
	}
	return g
}

// item is a delivery on its way.
type item struct {
	message *umf.Message
	gap     *Gap
	seq     uint64 // 0: none
	session int    // that it is of
	on      *line  // over which it came last
	state   itemState
}

type itemState uint8

const (
	undelivered itemState = iota
	given                 // to the program
	done
)

// Bounds of what arrives.
const (
	maxWaiting = 1024 // deliveries
	maxSeen    = 1000 // mids by which a repetition is known
	ackEvery   = 32   // messages, or
	ackAfter   = 50 * time.Millisecond
)

// inbox is what has come.
type inbox struct {
	waiting []*item // for Receive
	track   []*item // of this session, with a sequence, the first of which is not done
	seen    seen
	timer   timer // of the confirmation
}

// Receive returns the next delivery. The error is that of the context, or says why the
// client has ended. What waited then comes again to whoever goes on with the session.
func (c *Client) Receive(ctx context.Context) (*Delivery, error) {
	for {
		if d, err := c.pop(); d != nil || err != nil {
			return d, err
		}
		select {
		case <-c.more:
		case <-c.ctx.Done():
			return nil, c.ended()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// pop takes the first delivery that is no repetition.
func (c *Client) pop() (*Delivery, error) {
	c.mu.Lock()
	defer c.unlock()
	if c.state == closed {
		return nil, c.why
	}
	for len(c.in.waiting) > 0 {
		it := c.in.waiting[0]
		c.in.waiting[0] = nil
		c.in.waiting = c.in.waiting[1:]
		if l := c.line; l != nil && l.room != nil && len(c.in.waiting) <= maxWaiting/2 {
			close(l.room)
			l.room = nil
		}
		m := it.message
		if it.gap == nil && (c.settled(m.Rmid) || !c.in.seen.add(m.Mid, m.From)) {
			it.state = done
			c.advance()
			continue
		}
		it.state = given
		if len(c.in.waiting) > 0 {
			c.signal() // the next one
		} else {
			c.in.waiting = nil
		}
		return &Delivery{Message: m, Gap: it.gap, c: c, it: it}, nil
	}
	return nil, nil
}

// settled reports whether a message answers a request that has an outcome. c.mu is held.
func (c *Client) settled(rmid string) bool {
	return strings.HasPrefix(rmid, c.asking) || c.in.seen.has(answerTo, rmid)
}

// signal wakes one that receives. c.mu is held.
func (c *Client) signal() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// pause waits while too much waits for the program.
func (l *line) pause() {
	l.c.mu.Lock()
	room := l.room
	l.c.mu.Unlock()
	if room == nil {
		return
	}
	select {
	case <-room:
	case <-l.gone:
	case <-l.c.ctx.Done():
	}
}

// Done says that the delivery was handled, so that it does not come again.
func (d *Delivery) Done() {
	d.c.mu.Lock()
	defer d.c.unlock()
	d.it.state = done
	d.c.advance()
}

// advance goes on to the first delivery that is not done. c.mu is held.
func (c *Client) advance() {
	for len(c.in.track) > 0 && c.in.track[0].state == done {
		it := c.in.track[0]
		c.in.track[0] = nil
		c.in.track = c.in.track[1:]
		c.session.handled = it.seq
		it.on.confirmLater(it.seq)
	}
	if len(c.in.track) == 0 {
		c.in.track = nil
	}
}

// confirmLater confirms all up to a sequence, soon. What came over a former connection
// comes once more. c.mu is held.
func (l *line) confirmLater(seq uint64) {
	c := l.c
	if l != c.line || c.state != open {
		return
	}
	l.handled = seq
	switch l.unacked++; l.unacked {
	case 1:
		c.in.timer.after(c, ackAfter, c.confirm)
	case ackEvery:
		c.confirm()
	}
}

// confirm tells the node what was handled. c.mu is held.
func (c *Client) confirm() {
	l := c.line
	c.in.timer.stop()
	if l == nil || l.unacked == 0 || c.state != open {
		return
	}
	l.unacked = 0
	body := map[string]string{"seq": strconv.FormatUint(l.handled, 10)}
	if l.ack != nil { // one that is not written yet
		l.ack.Body, _ = json.Marshal(body) // a string
		return
	}
	l.ack = c.own(c.mid(), "ack", body)
}

// resumed drops what was not given to the program, since it comes again, unless it has no
// sequence or is of another session. c.mu is held.
func (c *Client) resumed() {
	kept := c.in.waiting[:0]
	for _, it := range c.in.waiting {
		if it.seq == 0 || it.session != c.session.number {
			kept = append(kept, it)
		}
	}
	clear(c.in.waiting[len(kept):])
	c.in.waiting = kept
	for i, it := range c.in.track {
		if it.state == undelivered {
			c.in.track = c.in.track[:i]
			break
		}
	}
	c.session.last = c.session.handled
	if n := len(c.in.track); n > 0 {
		c.session.last = c.in.track[n-1].seq
	}
}

// answerTo is, beside a request's mid, in the place of an answer's sender.
const answerTo = "="

// seen remembers the last maxSeen messages, and up to as many before them, by hashes,
// which nobody else can foresee.
type seen struct{ last, before map[uint64]struct{} }

var seed = maphash.MakeSeed()

func hash(a, b string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(a) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(b)
	return h.Sum64()
}

func (s *seen) has(a, b string) bool { return s.knows(hash(a, b)) }

func (s *seen) knows(key uint64) bool {
	if _, ok := s.last[key]; ok {
		return true
	}
	_, ok := s.before[key]
	return ok
}

// add reports whether it is new.
func (s *seen) add(a, b string) bool {
	key := hash(a, b)
	if s.knows(key) {
		return false
	}
	if len(s.last) >= maxSeen {
		s.last, s.before = s.before, s.last
		clear(s.last)
	}
	if s.last == nil {
		s.last = make(map[uint64]struct{})
	}
	s.last[key] = struct{}{}
	return true
}
