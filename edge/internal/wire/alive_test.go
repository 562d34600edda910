package wire

import (
	"bytes"
	"io"
	"testing"
)

// TestMark: any byte of the peer counts as a sign of life, also one of half a frame, and
// one in the same tick; output that it has not taken is known.
func TestMark(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		_, _, p, c := openedConn(t, o)
		heard := func(m Mark) (yes bool) {
			on(t, c, func() { yes = c.HeardSince(m) })
			return yes
		}
		unsent := func() (yes bool) {
			on(t, c, func() { yes = c.Unsent() })
			return yes
		}
		p.send(hello)
		p.want(text, "Hello")
		for _, piece := range [][]byte{hello[:1], hello[1:3], hello[3:]} {
			var m Mark
			on(t, c, func() { m = c.Mark() })
			if heard(m) {
				t.Fatal("it was heard before it said something")
			}
			p.send(piece)
			eventually(t, "it is heard", func() bool { return heard(m) })
		}
		p.want(text, "Hello")
		eventually(t, "all is sent", func() bool { return !unsent() })

		const block = 256 << 10
		sent := 0
		for !unsent() {
			on(t, c, func() {
				if queued, _ := c.Send(bytes.Repeat([]byte("x"), block)); queued {
					sent++
				}
			})
		}
		if _, err := io.CopyN(io.Discard, p.r, int64(sent)*(block+10)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all is sent", func() bool { return !unsent() })
	})
}
