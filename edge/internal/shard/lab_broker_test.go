package shard

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
)

// broker is NATS in memory: mailboxes, the directory, services, and the words that
// nodes leave for others.
type broker struct {
	l         *lab
	log       []*stored // all mailboxes, on one sequence
	seq       uint64
	ticks     int64 // entries that were ever stored
	limit     int   // messages of one mailbox; 0: any number
	mids      map[string]uint64
	backs     map[int]store.BackNote // by partition
	notes     []store.BackNote       // that were ever written
	entries   map[scheme.SID]*record
	rev       uint64
	listeners map[string][]*testShard // by live subject

	subscribed map[*egress.Subscription]bool
	services   map[string]func(*nats.Msg) *nats.Msg
	inboxes    map[string]func([]byte)
	seen       map[string]bool
	kept       map[scheme.SID]time.Duration // the last entry of a session; 0: as long as all
	unread     []error                      // told in place of an entry
	pieces     int                          // that were read
	pieceLimit int                          // messages of one; 0: as many as are asked for
	questions  int                          // requests to nodes
	tails      int                          // of these, by shards
	strangers  map[scheme.NodeID]func(data []byte) (takeover.Answer, ownership.Reply)

	published []*nats.Msg // core messages, but for answers between nodes
	work      []egress.Op
	prove     time.Duration // until it is known that NATS has a message
	unproved  error         // nil: it is known
	events    []scheme.Event
	faults    faults
}

// faults are what the test has go wrong; nil: nothing.
type faults struct {
	save    func(op *egress.Op) fault // a write to the directory
	get     func(sid scheme.SID) fault
	look    func(sid scheme.SID) fault
	read    func(sid scheme.SID) fault // of a mailbox; only err counts
	sweep   func() fault
	piece   func(from uint64) fault    // of many mailboxes
	store   func(sid scheme.SID) fault // into a mailbox
	publish func(subject string) error
	tail    func(question []byte) (answer []byte, lies bool)
	once    fault
}

// fault is what becomes of a request. The zero value is none.
type fault struct {
	err   error         // what is told; the request may have been done all the same
	lost  bool          // it is not done
	late  time.Duration // before it is done
	after time.Duration // before that is told
}

// fails is a request that NATS refuses.
func fails(err error) fault { return fault{err: err, lost: true} }

func newBroker(l *lab) *broker {
	return &broker{l: l, mids: make(map[string]uint64), backs: make(map[int]store.BackNote), entries: make(map[scheme.SID]*record),
		listeners: make(map[string][]*testShard), services: make(map[string]func(*nats.Msg) *nats.Msg),
		inboxes: make(map[string]func([]byte)), seen: make(map[string]bool), kept: make(map[scheme.SID]time.Duration),
		subscribed: make(map[*egress.Subscription]bool),
		strangers:  make(map[scheme.NodeID]func([]byte) (takeover.Answer, ownership.Reply))}
}

// of asks for a fault, if there is one.
func of[T any](f func(T) fault, x T) fault {
	if f == nil {
		return fault{}
	}
	return f(x)
}

// perform does one operation of a shard.
func (b *broker) perform(s *testShard, op *egress.Op) {
	if s.node.cut && op.Kind != stats.OpSubscribe && op.Kind != stats.OpUnsubscribe { // which nats.go does when it is back
		if op.Done != nil {
			b.l.after(400*time.Millisecond, func() { op.Done(0, store.ErrUnconfirmed) })
		}
		return
	}
	switch op.Kind {
	case stats.OpPublish:
		b.publish(s, op)
	case stats.OpStore:
		b.asked(of(b.faults.store, op.SID), op.Done, func() (uint64, error) { return b.put(op), nil })
	case stats.OpSave:
		b.kept[op.SID] = op.TTL
		b.asked(of(b.faults.save, op), op.Done, func() (uint64, error) { return b.swap(op.SID, op.Entry, op.Rev, s.node) })
	case stats.OpOnce:
		b.asked(b.faults.once, op.Done, func() (uint64, error) {
			if b.seen[op.Once] {
				return 0, store.ErrSeen
			}
			b.seen[op.Once] = true
			return 0, nil
		})
	case stats.OpMark:
		b.mark(op.SID, op.Marker)
	case stats.OpWork:
		b.work = append(b.work, *op)
		op.Done(uint64(len(b.work)), nil)
	case stats.OpEvent:
		b.events = append(b.events, *op.Event)
	case stats.OpSubscribe:
		if b.subscribed[op.Subscription] { // it is asked for again to be sure
			return
		}
		b.subscribed[op.Subscription] = true
		b.listeners[op.Subject] = append(b.listeners[op.Subject], s)
	case stats.OpUnsubscribe:
		delete(b.subscribed, op.Subscription)
		for i, listener := range b.listeners[op.Subject] {
			if listener == s {
				b.listeners[op.Subject] = append(b.listeners[op.Subject][:i:i], b.listeners[op.Subject][i+1:]...)
				break
			}
		}
	}
}

// asked does a request and tells what came of it.
func (b *broker) asked(f fault, done func(uint64, error), do func() (uint64, error)) {
	b.l.after(f.late, func() {
		var seq uint64
		err := f.err
		if !f.lost {
			var done error
			seq, done = do()
			if err == nil {
				err = done
			}
		}
		b.l.after(f.after, func() { done(seq, err) })
	})
}

// publish is a core message.
func (b *broker) publish(s *testShard, op *egress.Op) {
	if answer := b.inboxes[op.Subject]; answer != nil {
		delete(b.inboxes, op.Subject)
		answer(op.Data)
		return
	}
	if b.faults.publish != nil {
		if err := b.faults.publish(op.Subject); err != nil {
			if op.Done != nil {
				op.Done(0, err)
			}
			return
		}
	}
	msg := &nats.Msg{Subject: op.Subject, Reply: op.Reply, Header: op.Header, Data: op.Data}
	if strings.HasPrefix(op.Reply, scheme.NodeInbox) {
		b.questioned(s, op)
		return
	}
	b.published = append(b.published, msg)
	if op.Proved {
		defer b.l.after(b.prove, func() { op.Done(0, b.unproved) })
	}
	if op.Reply == "" {
		return
	}
	answer := &nats.Msg{Header: nats.Header{"Status": {"503"}}}
	if service := b.services[op.Subject]; service != nil {
		answer = service(msg)
	}
	if answer != nil {
		b.l.after(0, func() { s.node.replied(op, answer) })
	}
}

// questioned is a question of a shard to a node, whose answer comes among the copies.
func (b *broker) questioned(s *testShard, op *egress.Op) {
	b.tails++
	answer := func(data []byte, header nats.Header) {
		b.l.after(0, func() { s.receive(&nats.Msg{Subject: op.Reply, Header: header, Data: data}) })
	}
	if key, ok := strings.CutPrefix(op.Subject, store.EntrySubject("")); ok {
		s.node.pool.Submit(func() { b.giveEntry(s.node, scheme.SID(key), answer) }) // in its time, and with its faults
		return
	}
	i := slices.IndexFunc(b.l.nodes, func(n *testNode) bool { return scheme.NodeSubject(n.ID) == op.Subject && !n.gone && !n.cut })
	if b.faults.tail != nil {
		if data, lies := b.faults.tail(op.Data); lies {
			answer(data, nil)
			return
		}
	}
	if i < 0 {
		answer(nil, nats.Header{"Status": {"503"}})
		return
	}
	b.inboxes[op.Reply] = func(data []byte) { answer(data, nil) }
	b.l.nodes[i].asked(op.Reply, op.Data)
}

// giveEntry answers a question for an entry; see [fakeDirectory.Parse].
func (b *broker) giveEntry(n *testNode, sid scheme.SID, answer func([]byte, nats.Header)) {
	_, rev, err := fakeDirectory{n}.Get(n.l.stopped, sid)
	if err != nil && !errors.Is(err, store.ErrNoSession) && !errors.Is(err, store.ErrBadEntry) {
		b.unread = append(b.unread, err)
		answer(nil, nats.Header{"Unread": {strconv.Itoa(len(b.unread) - 1)}})
		return
	}
	var text []byte
	if r := b.entries[sid]; r != nil {
		text = slices.Clone(r.text)
	}
	answer(text, nats.Header{"Nats-Sequence": {strconv.FormatUint(rev, 10)}})
}

// replied gives an answer to the node that its reply subject names.
func (n *testNode) replied(op *egress.Op, answer *nats.Msg) {
	if index, id, ok := scheme.ParseRequestSubject(op.Reply); ok {
		answer.Subject = op.Reply
		s := n.shards[index]
		s.post(func() { s.Answer(id, answer) })
		return
	}
	_, sid, mid, err := scheme.ParseReplySubject(op.Reply)
	if err != nil {
		n.l.t.Fatal(err)
	}
	if !NoResponders(answer) {
		n.l.nats.append(&stored{sid: sid, data: answer.Data})
		return
	}
	service, err := scheme.ParseServiceSubject(op.Subject)
	if err != nil {
		service = "service"
	}
	for _, s := range n.shards {
		s.post(func() { s.Undelivered(sid, mid, string(service)) })
	}
}

// request asks a node for a session, from within a task. nil: there was no answer.
func (b *broker) request(to *testNode, data []byte, patience time.Duration) (answer []byte) {
	b.questions++
	inbox, t, over := fmt.Sprint(scheme.NodeInbox, ".", b.questions), b.l.running, false
	timer := b.l.after(patience, func() {
		over = true
		b.l.wake(t)
	})
	b.inboxes[inbox] = func(text []byte) {
		if !over {
			over, answer = true, text
			timer.stop()
			b.l.after(0, func() { b.l.wake(t) })
		}
	}
	to.asked(inbox, data)
	t.yield(struct{}{})
	return answer
}

// sent are the core messages but for those that tell of an expiry.
func (b *broker) sent() []*nats.Msg {
	return slices.DeleteFunc(slices.Clone(b.published), func(m *nats.Msg) bool { return strings.HasPrefix(m.Subject, scheme.PrefixExpiry) })
}

// isSubject finds a message by its subject.
func isSubject(subject string) func(*nats.Msg) bool {
	return func(m *nats.Msg) bool { return m.Subject == subject }
}
