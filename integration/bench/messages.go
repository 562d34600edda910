package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"hydrant/integration/harness"
)

// A dialer connects a client to a gateway and gives the socket its id.
type dialer func(addr string) (*socket, error)

// fleet connects n clients, b.parallel at a time.
func (b *bench) fleet(addr string, n int, dial dialer) ([]*socket, error) {
	sockets := make([]*socket, n)
	err := inParallel(n, b.parallel, func(i int) (err error) {
		sockets[i], err = dial(addr)
		return err
	})
	return sockets, err
}

// inParallel calls do for 0 to n-1, at most width at a time, and returns one
// of the errors.
func inParallel(n, width int, do func(i int) error) error {
	slots := make(chan struct{}, width)
	failed := make(chan error, 1)
	var calls sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			if err := do(i); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	calls.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func resetAll(sockets []*socket) {
	for _, s := range sockets {
		if s != nil {
			s.reset()
		}
	}
}

// tag returns what stands before the numbers of one traffic in its mids: a
// mid that is used again within a minute is a repetition, which the store
// drops.
func (b *bench) tag() string {
	b.tags++
	return "b" + strconv.Itoa(b.tags) + "-"
}

// What arrives has the number behind one of these: what was pushed, and what
// answers.
func inMid(tag string) []byte  { return []byte(`"mid":"` + tag) }
func inRmid(tag string) []byte { return []byte(`"rmid":"` + tag) }

// pad makes a message as long as ordinary ones are: about 200 bytes.
const pad = "a line of text as people write them, neither short nor long"

// exchange is a stream whose messages a socket sends, and how.
func exchange(from, to *socket, address, typ, tag string, mark []byte) *stream {
	s := &stream{to: to, mark: mark}
	build := func(dst []byte) []byte {
		dst = append(dst, `{"to":"`...)
		dst = append(dst, address...)
		dst = append(dst, `","frm":"`...)
		dst = append(dst, from.id...)
		dst = append(dst, `@client:/","mid":"`...)
		dst = append(dst, tag...)
		dst = strconv.AppendUint(dst, s.number(), 10)
		dst = append(dst, `","ts":"2026-01-12T20:16:29.157Z","typ":"`...)
		dst = append(dst, typ...)
		return append(dst, `","ver":"UMF/1.4.6","bdy":{"text":"`+pad+`"}}`...)
	}
	s.send = func() error { return from.send(build) }
	return s
}

// fill puts the messages on the way that traffic at full speed keeps there.
func (b *bench) fill(t *traffic) func(<-chan struct{}) error {
	return func(stop <-chan struct{}) error {
		for range b.inFlight {
			for _, s := range t.streams {
				if err := s.send(); err != nil {
					return err
				}
			}
		}
		<-stop
		return nil
	}
}

// atRate sends a number of messages a second, over all streams, each sender on
// a schedule of its own.
func atRate(t *traffic, rate int) func(<-chan struct{}) error {
	every := time.Second * time.Duration(len(t.streams)) / time.Duration(rate)
	return func(stop <-chan struct{}) error {
		return inParallel(len(t.streams), len(t.streams), func(i int) error {
			next := time.Now().Add(rand.N(every))
			timer := time.NewTimer(time.Until(next))
			defer timer.Stop()
			for {
				select {
				case <-timer.C:
				case <-stop:
					return nil
				}
				if err := t.streams[i].send(); err != nil {
					return err
				}
				next = next.Add(every)
				timer.Reset(time.Until(next))
			}
		})
	}
}

// ping: clients ask the node itself.
func ping(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	sockets, err := b.fleet(node.Addr, b.clients, dial)
	defer resetAll(sockets)
	if err != nil {
		return err
	}
	t, tag := &traffic{atFull: true}, b.tag()
	for _, s := range sockets {
		t.streams = append(t.streams, exchange(s, s, "hydra-router:/", "ping", tag, inRmid(tag)))
	}
	return b.note(b.observe(ctx, "ping-pong, full speed", t, b.fill(t), node))
}

// service: clients ask the echo service.
func service(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	if err := b.service(ctx); err != nil {
		return err
	}
	sockets, err := b.fleet(node.Addr, b.clients, dial)
	defer resetAll(sockets)
	if err != nil {
		return err
	}
	// Which instance of a service answers first is nobody's promise.
	t := &traffic{streams: b.questions(sockets), unordered: true}
	if err := b.note(b.observe(ctx, "service, "+thousands(b.asks)+"/s", t, atRate(t, b.asks), node)); err != nil {
		return err
	}
	return b.note(b.asked(ctx, "service, full speed", node, sockets))
}

// questions are streams of clients that ask the echo service.
func (b *bench) questions(sockets []*socket) (list []*stream) {
	tag := b.tag()
	for _, s := range sockets {
		list = append(list, exchange(s, s, echoService+":/", "bench", tag, inRmid(tag)))
	}
	return list
}

// asked measures them at full speed.
func (b *bench) asked(ctx context.Context, name string, node *harness.Node, sockets []*socket) (*row, error) {
	t := &traffic{streams: b.questions(sockets), unordered: true, atFull: true}
	return b.observe(ctx, name, t, b.fill(t), node)
}

// clientToClient: pairs of clients, on one node and across two.
func clientToClient(ctx context.Context, b *bench) error {
	a, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	if err := b.pairs(ctx, "client-client, one node", a, a); err != nil {
		return err
	}
	other, err := b.node(ctx, "b")
	if err != nil {
		return err
	}
	return b.pairs(ctx, "client-client, two nodes", a, other)
}

func (b *bench) pairs(ctx context.Context, name string, x, y *harness.Node) error {
	from, err := b.fleet(x.Addr, b.clients, dial)
	defer resetAll(from)
	if err != nil {
		return err
	}
	to, err := b.fleet(y.Addr, b.clients, dial)
	defer resetAll(to)
	if err != nil {
		return err
	}
	t, tag := &traffic{atFull: true}, b.tag()
	for i := range from {
		t.streams = append(t.streams, exchange(from[i], to[i], to[i].id+"@client:/", "bench", tag, inMid(tag)))
	}
	nodes := []*harness.Node{x}
	if y != x {
		nodes = append(nodes, y)
	}
	return b.note(b.observe(ctx, name, t, b.fill(t), nodes...))
}
