package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPongFlood: a peer that pings and does not read the pongs gets the latest, and all
// other frames; what waits for it stays bounded.
func TestPongFlood(t *testing.T) {
	b := opened(t, Options{ControlRate: -1}, echoHandler{})
	var texts []string
	var latest string
	for i := range 10_000 {
		latest = fmt.Sprint(i, strings.Repeat("p", 100))
		b.feed(clientFrame(ping, latest))
		if i%1000 == 0 {
			texts = append(texts, fmt.Sprint("text ", i))
			b.feed(clientFrame(text, texts[len(texts)-1]))
		}
		if i == 5 {
			b.c.out.off = 3 // one has left in part
		}
	}
	if n := len(b.output()); n > pongBound+2*127+20*len(texts) {
		t.Errorf("%d bytes wait", n)
	}
	out := b.c.out.buf
	if first := clientless(pong, "0"+strings.Repeat("p", 100)); !bytes.HasPrefix(out, first) {
		t.Errorf("the frame that has left in part is %q now", out[:10])
	}
	var got, pongs []string
	for len(out) > 0 {
		n := frameLen(out)
		if out[0] == text {
			got = append(got, string(out[2:n]))
		} else {
			pongs = append(pongs, string(out[2:n]))
		}
		out = out[n:]
	}
	if !slices.Equal(got, texts) {
		t.Errorf("texts %q", got)
	}
	if pongs[len(pongs)-1] != latest {
		t.Errorf("the last pong is %q", pongs[len(pongs)-1])
	}
}

// clientless is a short frame as the server sends it.
func clientless(first byte, payload string) []byte {
	return append([]byte{first, byte(len(payload))}, payload...)
}

// TestManyPings: a peer that reads may ping as often as it likes within the rates, also
// at once.
func TestManyPings(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		s := serve(t, o, newRecorder(t), nil)
		for _, n := range []int{34, 100, 499} {
			p := dial(t, s)
			var all []byte
			for i := range n {
				all = append(all, clientFrame(ping, fmt.Sprintf("%0125d", i))...)
			}
			p.send(join(all, hello, bye))
			next := 0
			for {
				f, err := p.frame()
				if err != nil {
					t.Fatal(err)
				}
				if f.first != pong {
					if f.first != text {
						t.Errorf("%v", f)
					}
					break
				}
				i, err := strconv.Atoi(string(f.payload))
				if err != nil || i < next || o.Transport == TransportEpoll && i != next {
					t.Fatalf("pong %q, next is %d", f.payload, next)
				}
				next = i + 1
			}
			if next != n {
				t.Errorf("%d of %d pings: the last pong is %d", n, n, next-1)
			}
			p.wantClose(1000)
		}
	})
}
