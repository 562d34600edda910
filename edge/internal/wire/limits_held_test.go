package wire

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestBufferMemoryHeld: whoever holds the memory for messages under way gives it up to
// those that come later, by messages or by output, and of several the oldest.
func TestBufferMemoryHeld(t *testing.T) {
	const piece = 15_000 // takes a buffer of 16 KiB
	t.Run("messages", func(t *testing.T) {
		transports(t, func(t *testing.T, o Options) {
			o.BufferMemory, o.Loops = 128<<10, 1
			h := newRecorder(t)
			s := serve(t, o, h, nil)
			var hogs []*peer
			for i := range 8 {
				hog := dial(t, s)
				c := h.conn()
				hog.send(clientFrame(start, strings.Repeat("x", piece)))
				eventually(t, "the fragment arrived", func() (whole bool) {
					on(t, c, func() { whole = c.in != nil && len(c.in.msg) == piece })
					return whole
				})
				on(t, c, func() { c.in.begun -= uint32(8 - i) }) // a tick is longer than this test
				hogs = append(hogs, hog)
			}
			p := dial(t, s)
			h.conn()
			p.send(join(clientFrame(start, strings.Repeat("y", piece)), clientFrame(last, "y")))
			hogs[0].wantClose(CodeOverload)
			h.wantClosed(DropOverload, CodeOverload)
			p.want(text, strings.Repeat("y", piece)+"y")
			hogs[7].send(clientFrame(last, "x"))
			hogs[7].want(text, strings.Repeat("x", piece)+"x")
		})
	})
	t.Run("output", func(t *testing.T) {
		o := Options{BufferMemory: 1600 << 10, Loops: 1, WriteBuffer: 4 << 20}
		h := newRecorder(t)
		s := serveNarrow(t, o, h)
		hog := dial(t, s)
		setReceiveBuffer(t, hog, 4<<10)
		c := h.conn()
		on(t, c, func() {
			for queued := true; queued && c.Buffered() < 600<<10; {
				queued, _ = c.Send([]byte(strings.Repeat("x", 100<<10)))
			}
		})
		p := dial(t, s)
		h.conn()
		p.send(join(clientFrame(start, strings.Repeat("y", 400<<10)), clientFrame(last, "y")))
		h.wantClosed(DropOverload, CodeOverload)
		p.want(text, strings.Repeat("y", 400<<10)+"y")
	})
}

// TestLateMessage: a message has its time from its first byte on, whatever comes in
// between: bytes of it one by one, empty fragments, pings.
func TestLateMessage(t *testing.T) {
	for name, drip := range map[string][]byte{
		"bytes":     {'x'},
		"fragments": clientFrame(more, ""),
		"pings":     clientFrame(0x89, ""),
		"silence":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			transports(t, func(t *testing.T, o Options) {
				o.MessageTimeout = 50 * time.Millisecond
				h := newRecorder(t)
				s := serve(t, o, h, nil)
				p := dial(t, s)
				h.conn()
				begin := clientFrame(start, "")
				if name == "bytes" {
					begin = clientFrame(0x82, strings.Repeat("x", 1<<20))[:1000]
				}
				p.send(begin)
				stop := make(chan struct{})
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for {
						select {
						case <-stop:
							return
						case <-time.After(10 * time.Millisecond):
							_, _ = p.Write(drip) // fails when the end has come
						}
					}
				}()
				h.wantClosed(DropLateMessage, CodePolicy)
				close(stop)
				<-ended
			})
		})
	}
}

// TestInflatedBytesCount: what a few bytes inflate to is paid for as if it had been sent.
func TestInflatedBytesCount(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Compression, o.ByteRate, o.ByteBurst = true, 1, 200_000
		h := newRecorder(t)
		h.message = func(*Conn, bool, []byte) {}
		s := serve(t, o, h, nil)
		p := dial(t, s, "Sec-WebSocket-Extensions: permessage-deflate")
		h.conn()
		small := squeeze(t, strings.Repeat("x", 90_000))
		for range 3 {
			p.send(clientFrame(0xc1, small))
		}
		h.wantClosed(DropByteRate, CodeRate)
		eventually(t, "two messages of 90,000 bytes are taken, of 200,000", func() bool { return s.Stats().MessagesIn == 2 })
	})
}

// TestSharedAddress: the address of a trusted proxy is a client's only where it says
// whose.
func TestSharedAddress(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		h := newRecorder(t)
		shared := make(chan bool, 4)
		h.upgrade = func(r *Request) (Accept, error) {
			shared <- r.Shared()
			return Accept{}, nil
		}
		s := serve(t, o, h, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shared <- SharedAddress(r.Context()) }))
		for field, want := range map[string]bool{"X-Forwarded-For: 192.0.2.1": false, "X-Forwarded-For: 127.0.0.9": true, "X-Other: 1": true} {
			dial(t, s, field)
			if got := receive(t, shared, "no upgrade"); got != want {
				t.Errorf("%s: %v", field, got)
			}
			plain := dialRaw(t, s)
			plain.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n"))
			if got := receive(t, shared, "no request"); got != want {
				t.Errorf("plain, %s: %v", field, got)
			}
			if status, _, _ := plain.whole(); status != http.StatusOK {
				t.Errorf("plain, %s: status %d", field, status)
			}
		}
	})
}

// TestDrainIsBounded: who goes on sending after the close frame is not read for long,
// whichever side has made an end.
func TestDrainIsBounded(t *testing.T) {
	for name, end := range map[string]func(p *peer, c *Conn){
		"violation": func(p *peer, _ *Conn) { p.send(clientFrame(0xf1, "reserved bits")) },
		"closed":    func(_ *peer, c *Conn) { on(t, c, func() { c.Close(CodePolicy, "") }) },
	} {
		t.Run(name, func(t *testing.T) {
			transports(t, func(t *testing.T, o Options) {
				o.CloseTimeout = time.Hour
				h := newRecorder(t)
				s := serve(t, o, h, nil)
				p := dial(t, s)
				end(p, h.conn())
				messages := bytes.Repeat(clientFrame(text, strings.Repeat("x", 1000)), 64)
				for i := 0; ; i++ {
					if _, err := p.Write(messages); err != nil {
						break
					}
					if i > 4096 {
						t.Fatal("256 MiB are read")
					}
				}
				receive(t, h.closed, "Closed was not called")
			})
		})
	}
}

// TestLongMessage: a message that is large may take longer.
func TestLongMessage(t *testing.T) {
	b := opened(t, Options{MessageTimeout: 10 * time.Second}, echoHandler{})
	b.feed(clientFrame(start, strings.Repeat("x", 10*lateBytes)))
	at := func(d time.Duration) state {
		b.l.mono = d
		b.c.expireOpen()
		return b.c.state
	}
	if at(19*time.Second) != stateOpen || at(21*time.Second) == stateOpen {
		t.Error("80 KiB have not ten seconds more")
	}
}
