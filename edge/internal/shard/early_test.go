package shard

import (
	"testing"

	"hydrant/edge/internal/protocol"
)

// TestEarlyPong: a pong that comes before its Ping can have left proves nothing. The
// session is parked where it was, and all comes again.
func TestEarlyPong(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	c.hangs()
	l.store(c.id, 0, 3)
	waiting := -1
	for i, f := range c.sock.queue {
		if f.kind == pingFrame {
			waiting = i
		}
	}
	if waiting < 0 {
		t.Fatal("there is no barrier")
	}
	s.node.counts(`hydrant_dropped_total{reason="early_pong"}`, func() {
		c.sock.come(frame{kind: pongFrame, data: append([]byte(nil), c.sock.queue[waiting].data...)})
		l.run()
	})
	c.drop()
	l.parked(c.id)
	again := s.dial()
	again.resumes(object{"id": string(c.id)})
	again.gets(0, 3)

	// The same pong counts when the Ping has left.
	again.noPong = true
	l.store(again.id, 3, 4)
	again.gets(3, 4)
	again.pong()
	s.do(func() { s.Drain(0, func() {}) })
	again.closed(protocol.CloseRestart)
	l.parked(again.id)
	if e := l.entry(again.id); e.Floor != l.nats.last(again.id) {
		t.Errorf("%+v", e)
	}
}
