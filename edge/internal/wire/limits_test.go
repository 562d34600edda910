package wire

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestMaxConnections(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxConnections = 3
		h := newRecorder(t)
		s := serve(t, o, h, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}))
		var first *peer
		for i := range 3 {
			p := dial(t, s)
			if i == 0 {
				first = p
			}
		}
		p := dialRaw(t, s)
		p.send([]byte(upgradeRequest()))
		r := p.wantStatus(503)
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		_ = p.Close()
		s.wantDrop(t, DropNodeFull, 1)
		// A request for the node's health is answered.
		p = dialRaw(t, s)
		p.send([]byte("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"))
		p.wantStatus(http.StatusNoContent)
		_ = p.Close()

		// There is room again when one leaves.
		_ = first.Close()
		eventually(t, "room", func() bool { return s.Stats().Connections == 2 })
		dial(t, s)
	})
}

// TestReserve: beyond MaxConnections sockets are refused without being read,
// but some are let in to be answered.
func TestReserve(t *testing.T) {
	s := &Server{o: Options{MaxConnections: 2}}
	n := 0
	for s.admit(&Conn{}) == 0 {
		n++
	}
	if want := 2 + Reserve(2); n != want {
		t.Errorf("%d sockets were admitted, want %d", n, want)
	}
	if got := s.sockets.Load(); got != int64(n) {
		t.Errorf("%d sockets are counted", got)
	}
}

func TestMaxConnectionsPerAddress(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxConnectionsPerAddress = 2
		s := serve(t, o, newRecorder(t), nil)
		first := dial(t, s)
		dial(t, s)
		nc, err := net.Dial("tcp", s.addr) // may see the reset already
		if err == nil {
			(&peer{Conn: nc, t: t, r: wrapReader(nc)}).wantGone()
			_ = nc.Close()
		}
		s.wantDrop(t, DropAddressFull, 1)
		// Another address of this machine.
		other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		nc, err = other.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		p := wrap(t, s, nc)
		p.send([]byte(upgradeRequest()))
		p.wantUpgraded()
		// And the first again, once it has one less.
		_ = first.Close()
		eventually(t, "one less", func() bool { return s.Stats().Connections == 2 })
		dial(t, s)
	})
}

// TestAddressesBehindProxy: a trusted proxy is not counted, its clients are.
func TestAddressesBehindProxy(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxConnectionsPerAddress = 1
		o.TrustedProxies = loopback
		s := serve(t, o, newRecorder(t), nil)
		for _, a := range []string{"203.0.113.1", "203.0.113.2", "2001:db8::1"} {
			dial(t, s, "X-Forwarded-For: "+a)
		}
		for i, a := range []string{"203.0.113.1", "2001:db8::ffff"} { // the same /64
			p := dialRaw(t, s)
			p.send([]byte(upgradeRequest("X-Forwarded-For: " + a)))
			p.wantStatus(429)
			s.wantDrop(t, DropAddressFull, uint64(i)+1)
		}
	})
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.1": "203.0.113.1", "2001:db8:1:2:3::4": "2001:db8:1:2::",
	} {
		if got := AddressKey(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestRates: a client within its burst is served, one beyond it is closed, and
// the others do not notice.
func TestRates(t *testing.T) {
	small := clientFrame(text, "m")
	for _, c := range []struct {
		name  string
		set   func(*Options)
		send  []byte
		cause Drop
	}{
		{"messages", func(o *Options) { o.MessageRate, o.MessageBurst = 0.01, 20 }, small, DropMessageRate},
		{"bytes", func(o *Options) { o.ByteRate, o.ByteBurst = 1, 400 }, clientFrame(text, strings.Repeat("x", 100)), DropByteRate},
		{"pings", func(o *Options) { o.ControlRate, o.ControlBurst = 0.01, 20 }, clientFrame(ping, "p"), DropControlRate},
		{"pongs", func(o *Options) { o.ControlRate, o.ControlBurst = 0.01, 20 }, clientFrame(pong, "p"), DropControlRate},
	} {
		t.Run(c.name, func(t *testing.T) {
			transports(t, func(t *testing.T, o Options) {
				c.set(&o)
				h := newRecorder(t)
				s := serve(t, o, h, nil)
				other := dial(t, s)
				h.conn()
				p := dial(t, s)
				h.conn()
				go func() { // the server stops reading before this is all written
					_, _ = p.Write(bytes.Repeat(c.send, 100))
				}()
				for {
					f, err := p.frame()
					if err != nil {
						t.Fatalf("no close frame: %v", err)
					}
					if f.first == 0x88 {
						if string(f.payload[:2]) != "\x11\x38" {
							t.Errorf("closed with %v", f)
						}
						break
					}
				}
				h.wantClosed(c.cause, CodeRate)
				s.wantDrop(t, c.cause, 1)
				other.send(join(hello, bye))
				other.want(text, "Hello")
				other.wantClose(1000)
			})
		})
	}
}

// TestPongsAsked: the answers to our own pings are no flood.
func TestPongsAsked(t *testing.T) {
	h := newRecorder(t)
	s := serve(t, Options{ControlRate: 0.01, ControlBurst: 2}, h, nil)
	p := dial(t, s)
	c := h.conn()
	for range 20 {
		on(t, c, func() { c.Ping([]byte("?")) })
		p.want(ping, "?")
		p.send(clientFrame(pong, "?"))
	}
	p.send(bye)
	p.wantClose(1000)
}

func TestBucket(t *testing.T) {
	p := newPrice(10, 5)
	var b bucket
	now := time.Duration(0)
	take := func(n int) int {
		k := 0
		for range n {
			if b.take(p, 1, now) {
				k++
			}
		}
		return k
	}
	if got := take(10); got != 5 {
		t.Errorf("burst of %d, want 5", got)
	}
	now += 300 * time.Millisecond
	if got := take(10); got != 3 {
		t.Errorf("%d after 0.3 s, want 3", got)
	}
	now += time.Hour
	if got := take(10); got != 5 {
		t.Errorf("%d after an hour, want 5", got)
	}
	if !b.take(newPrice(0, 0), 1<<40, now) {
		t.Error("no rate is no bound")
	}
}

// TestBufferMemory: partial messages and queues together stay within the bound.
func TestBufferMemory(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.BufferMemory = 64 << 10
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		hog := dial(t, s)
		c := h.conn()
		hog.send(clientFrame(start, strings.Repeat("x", 20_000)))
		eventually(t, "the fragment arrived", func() bool { return s.Stats().BytesIn >= 20_000 })
		on(t, c, func() {})
		p := dial(t, s)
		h.conn()
		p.send(clientFrame(start, strings.Repeat("x", 40_000)))
		p.wantClose(CodeOverload)
		h.wantClosed(DropOverload, CodeOverload)
		// The message that was there first goes on.
		hog.send(join(clientFrame(last, "y"), bye))
		hog.want(text, strings.Repeat("x", 20_000)+"y")
		hog.wantClose(1000)
	})
}

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
				eventually(t, "the fragment arrived", func() bool { return s.Stats().BytesIn >= uint64((i+1)*piece) })
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
		if got := s.Stats().MessagesIn; got != 2 {
			t.Errorf("%d messages of 90,000 bytes are taken, of 200,000", got)
		}
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
			plain.wantStatus(http.StatusOK)
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

// TestGrowth: memory follows the bytes that came, not those that were announced.
func TestGrowth(t *testing.T) {
	b := opened(t, Options{MaxMessage: 1 << 30, MaxFragments: 1 << 20}, echoHandler{})
	huge := []byte("\x82\xff\x00\x00\x00\x00\x20\x00\x00\x00mask")
	b.feed(huge)
	b.feed([]byte("some bytes"))
	if got := cap(b.c.in.msg); got > 1<<minClass {
		t.Errorf("%d bytes for ten", got)
	}
	fragments := opened(t, Options{MaxFragments: 1 << 20}, echoHandler{})
	fragments.feed(clientFrame(0x02, ""))
	fragments.feed(bytes.Repeat(clientFrame(more, ""), 10_000))
	if got := cap(fragments.c.in.msg); got != 0 {
		t.Errorf("%d bytes for nothing", got)
	}
}

func TestBuffers(t *testing.T) {
	p := buffers{budget: &budget{limit: 100 << 10}}
	a, b := p.get(5000), p.get(60_000)
	if cap(a) != 8<<10 || cap(b) != 64<<10 {
		t.Errorf("%d, %d bytes", cap(a), cap(b))
	}
	if p.get(40_000) != nil {
		t.Error("over the budget")
	}
	if got := p.grow(a, 100_000); got != nil {
		t.Error("grown over the budget")
	}
	p.put(b)
	if got := p.get(40_000); cap(got) != 64<<10 || &got[:1][0] != &b[:1][0] {
		t.Error("the buffer was not used again")
	} else {
		p.put(got)
	}
	p.put(a)
	if used := p.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes in use", used)
	}
	// A buffer that two rounds did not need is given up.
	p.trim()
	p.trim()
	for i, free := range p.free {
		if len(free) != 0 {
			t.Errorf("class %d keeps %d", i, len(free))
		}
	}
	// The number of kept buffers is bounded.
	var many [][]byte
	for range 2 * classBytes >> minClass {
		many = append(many, p.get(1))
	}
	for _, b := range many {
		p.put(b)
	}
	if got := len(p.free[0]) << minClass; got > classBytes {
		t.Errorf("%d bytes are kept", got)
	}
}

// TestAddressOfPlain: the bound for an address also counts plain HTTP, for clients
// behind a proxy as for those that connect themselves.
func TestAddressOfPlain(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MaxConnectionsPerAddress = 1
		o.TrustedProxies = loopback
		entered, leave := make(chan struct{}), make(chan struct{})
		defer close(leave)
		s := serve(t, o, newRecorder(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-leave
		}))
		get := []byte("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n")
		dialRaw(t, s).send(get)
		receive(t, entered, "the handler is not called")
		second := dialRaw(t, s)
		second.send(get)
		second.wantStatus(http.StatusTooManyRequests)
		s.wantDrop(t, DropAddressFull, 1)
	})
}
