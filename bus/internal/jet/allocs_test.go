package jet

import (
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// TestAllocs: what runs for every message allocates no more than this. Where
// nats.go's own cost is part of it, the figure is its.
func TestAllocs(t *testing.T) {
	sid := scheme.NewSID()
	ack := &nats.Msg{Data: []byte(`{"stream":"UMF_OUT_3","seq":123456}`)}
	out := Outgoing{Payload: []byte("x")}
	for _, c := range []struct {
		name string
		max  float64
		f    func()
	}{
		{"ParseAck", 0, func() { _, _ = ParseAck(ack) }},
		{"message without mid", 2, func() { out.For(sid) }},
	} {
		if got := testing.AllocsPerRun(100, c.f); got > c.max {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.max)
		}
	}
}
