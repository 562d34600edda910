package wire

import (
	"testing"
)

// TestPingWaits: what is queued, or has left in part only, waits.
func TestPingWaits(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		c := h.conn()
		allWritten(t, c)
		on(t, c, func() {
			c.Send([]byte("text"))
			c.Ping([]byte("one"))
			for payload, want := range map[string]bool{"one": true, "two": false, "": false, "text": false} {
				if c.PingWaits([]byte(payload)) != want {
					t.Errorf("%q", payload)
				}
			}
		})
		p.want(text, "text")
		p.want(ping, "one")
		allWritten(t, c)
		on(t, c, func() {
			if c.PingWaits([]byte("one")) {
				t.Error("it has left")
			}
		})
	})
	b := opened(t, Options{}, echoHandler{})
	b.c.Ping([]byte("one"))
	b.c.out.off = 4
	if !b.c.PingWaits([]byte("one")) {
		t.Error("a half is none")
	}
	b.c.out.off = 5
	if b.c.PingWaits([]byte("one")) {
		t.Error("all of it is one")
	}
}
