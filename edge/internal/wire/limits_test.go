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
