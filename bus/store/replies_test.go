package store

import (
	"testing"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestUnasked: a server sends more than was asked for. What was asked for
// arrives, and the rest is counted.
func TestUnasked(t *testing.T) {
	s := newStore(t, Config{})
	c, err := s.replies.Open("", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.replies.End(c)
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		if err := s.nc.Publish(c.Reply, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	natstest.WaitFor(t, func() bool { return s.Unasked() == 3 })
	if a, b := <-c.Msgs, <-c.Msgs; string(a.Data) != "a" || string(b.Data) != "b" {
		t.Errorf("%q and %q arrive", a.Data, b.Data)
	}
	sid := scheme.NewSID()
	fill(t, s, sid, 3)
	r := s.NewReader(sid, 1)
	closeReader(t, r)
	if b, err := r.Read(natstest.Context(t), 1, 0, 10, 0); err != nil || texts(b) != "0 1 2" {
		t.Errorf("read %q, %v", texts(b), err)
	}
	if n := s.Unasked(); n != 3 {
		t.Errorf("%d after a read", n)
	}
}
