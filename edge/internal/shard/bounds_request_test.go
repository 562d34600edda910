package shard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
)

// slowService takes requests and answers them when the test says so.
type slowService struct {
	n     *testNode
	asked []*nats.Msg
}

// slow starts a service that does not answer yet.
func (n *testNode) slow(name scheme.Service) *slowService {
	v := &slowService{n: n}
	n.l.nats.services[scheme.ServiceSubject(name)] = func(m *nats.Msg) *nats.Msg {
		v.asked = append(v.asked, m)
		return nil
	}
	return v
}

// answer answers all that it was asked.
func (v *slowService) answer() {
	asked := v.asked
	v.asked = nil
	for _, m := range asked {
		v.n.replied(&egress.Op{Subject: m.Subject, Reply: m.Reply}, &nats.Msg{Data: []byte(`"answer"`)})
	}
	v.n.l.run()
}

// answered expects the answers to so many requests.
func (c *testClient) answered(count int) {
	c.l.t.Helper()
	for i := range count {
		if m := c.next(); m.at("bdy") != `"answer"` || m.text("rmid") == "" {
			c.l.t.Fatalf("answer %d is %s", i, m.raw)
		}
	}
}

func question() object { return object{"to": "busy:[GET]/", "bdy": 1} }

const refusedRequests = `hydrant_requests_total{result="refused"}`

// TestRequestsFull: as many requests of a client as may wait for an answer.
func TestRequestsFull(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, other := s.dial(), s.dial()
	busy := s.node.slow("busy")
	for range maxRequestsPerClient {
		c.say(question())
	}
	s.node.counts(refusedRequests, func() { c.refused(protocol.CodeOverload, question()) })
	c.serves()
	other.say(question())
	l.run()
	if len(busy.asked) != maxRequestsPerClient+1 {
		t.Fatalf("%d requests have come", len(busy.asked))
	}
	busy.answer()
	c.answered(maxRequestsPerClient)
	other.answered(1)
	c.say(question()) // there is room again
	l.run()
	busy.answer()
	c.answered(1)
}

// TestLoopRequestsFull: as many requests of all clients of a loop as may wait for
// an answer.
func TestLoopRequestsFull(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	s := n.shards[0]
	c, elsewhere := s.dial(), n.shards[1].dial()
	busy := n.slow("busy")
	s.do(func() { // a crowd of clients, each with one
		for i := range maxRequests {
			if !s.ask(&Client{s: s.Shard}, "umf.v1.svc.crowd", nil, nil, nil, func(*nats.Msg) {}) {
				t.Errorf("refused after %d", i)
				return
			}
		}
	})
	l.nats.services["umf.v1.svc.crowd"] = func(*nats.Msg) *nats.Msg { return nil }
	n.counts(refusedRequests, func() { c.refused(protocol.CodeOverload, question()) })
	c.serves()
	elsewhere.say(question())
	l.run()
	busy.answer()
	elsewhere.answered(1)
	s.do(func() { s.finish(s.requests.last, nil, stats.RequestTimeout) })
	c.say(question()) // there is room again
	l.run()
	busy.answer()
	c.answered(1)
}

// TestFinishedRequests: a request that was answered leaves nothing behind until it
// would have timed out.
func TestFinishedRequests(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.nats.services["umf.v1.svc.quick"] = func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(`{"result":1}`)} }
	for range 10 {
		if m := c.call(object{"to": "quick:[GET]/", "bdy": 1}); m.at("bdy", "error") != nil {
			t.Fatalf("answered with %s", m.raw)
		}
	}
	if n, m := s.requests.queue.Len(), len(s.requests.byID); n != 0 || m != 0 || c.outstanding != 0 {
		t.Errorf("%d and %d requests are kept, %d of them the client's", n, m, c.outstanding)
	}
}

// TestLateAnswersFull: answers for clients that are gone wait within the same bound
// as what clients send.
func TestLateAnswersFull(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	o := s.bounded()
	most := o.room()
	s.out.hold()
	const size = 1 << 20
	body := []byte(`"` + strings.Repeat("x", size-2) + `"`)
	s.node.counts(`hydrant_dropped_total{reason="late_answer"}`, func() {
		s.do(func() {
			for i := range most/size + 1 {
				s.storeAnswer(c.id, protocol.Message{To: c.address(), RMid: fmt.Append(nil, i), Body: body})
			}
		})
	})
	if waiting := o.box.Bytes(); waiting > int64(most) || waiting < int64(most-2*size) {
		t.Errorf("%v bytes wait", waiting)
	}
	o.let()
	c.serves()
	if o.room() != most {
		t.Errorf("room for %d bytes is left of %d", o.room(), most)
	}
}
