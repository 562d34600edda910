package wire

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestOneWrite: frames that are queued in one iteration leave in one write.
func TestOneWrite(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		_, s, p, c := openedConn(t, o)
		on(t, c, func() {
			for range 8 {
				c.Send([]byte("a"), nil, []byte("b"))
			}
			c.SendBinary([]byte("\xff"))
			c.Ping([]byte("p"))
		})
		for range 8 {
			p.want(text, "ab")
		}
		p.want(bin, "\xff")
		p.want(ping, "p")
		eventually(t, "the write is counted", func() bool { return s.Stats().Writes == 2 })
	})
}

func TestPingIsCut(t *testing.T) {
	h := newRecorder(t)
	s := serve(t, Options{}, h, nil)
	p := dial(t, s)
	c := h.conn()
	on(t, c, func() { c.Ping(make([]byte, 200)) })
	p.want(ping, string(make([]byte, 125)))
}

// fillKernel fills the peer's kernel until the connection reports no room,
// and returns how many messages were queued.
func fillKernel(t *testing.T, c *Conn, message []byte) (sent int) {
	t.Helper()
	eventually(t, "the kernel is full", func() bool {
		full := false
		on(t, c, func() {
			for range 16 {
				queued, room := c.Send(message)
				if queued {
					sent++
				}
				if full = !room; full {
					return
				}
			}
		})
		return full
	})
	return sent
}

// TestBackpressure: the handler learns that a peer does not read; when the peer
// reads again, it gets everything, in order.
func TestBackpressure(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteBuffer = 64 << 10
		h := newRecorder(t)
		h.writable = func(c *Conn) {
			if !c.Open() {
				t.Error("Writable after Close")
			}
		}
		s := serveNarrow(t, o, h)
		p := dial(t, s)
		c := h.conn()
		setReceiveBuffer(t, p, 48<<10)
		message := bytes.Repeat([]byte("m"), 10_000)
		sent := fillKernel(t, c, message)
		on(t, c, func() {
			// Some more is taken, but not without end.
			for i := 0; ; i++ {
				if queued, _ := c.Send(message); !queued {
					break
				}
				if sent++; i > 100 {
					t.Fatal("the queue has no end")
				}
			}
			if n := c.Buffered(); n > 2*o.WriteBuffer+2*len(message) {
				t.Errorf("%d bytes are queued", n)
			}
			c.Close(1000, "") // leaves after them
		})
		for range sent {
			p.want(text, string(message))
		}
		p.want(0x88, "\x03\xe8")
		p.send(bye)
		p.wantEnd()
	})
}

// TestWritable: Writable is called once for each time that there was no room.
func TestWritable(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteBuffer = 64 << 10
		h := newRecorder(t)
		waiting := false // by the loop
		h.writable = func(c *Conn) {
			if n := c.Buffered(); !waiting || n >= o.WriteBuffer/2 {
				t.Errorf("Writable with %d bytes queued, asked for: %v", n, waiting)
			}
			waiting = false
		}
		s := serveNarrow(t, o, h)
		p := dial(t, s)
		c := h.conn()
		setReceiveBuffer(t, p, 48<<10)
		message := bytes.Repeat([]byte("m"), 10_000)
		for range 3 {
			sent := 0
			on(t, c, func() {
				for room := true; room; sent++ {
					_, room = c.Send(message)
				}
				waiting = true
			})
			for range sent {
				p.want(text, string(message))
			}
			eventually(t, "Writable", func() (called bool) {
				on(t, c, func() { called = !waiting })
				return called
			})
		}
	})
}

// TestEchoBackpressure: an echo to a peer that first writes everything and
// then reads holds no more than its bounds, and loses nothing.
func TestEchoBackpressure(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteBuffer = 32 << 10
		h := newRecorder(t)
		s := serveNarrow(t, o, h)
		p := dial(t, s)
		const n = 200
		message := strings.Repeat("e", 5000)
		go func() { _, _ = p.Write(append(bytes.Repeat(clientFrame(text, message), n), bye...)) }()
		for range n {
			p.want(text, message)
		}
		p.wantClose(1000)
	})
}

// TestNeverReads: peers that never read are closed, and the others are served as
// before.
func TestNeverReads(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.WriteBuffer = 32 << 10
		o.WriteTimeout, o.StallLimit = time.Hour, unstalled
		h := newRecorder(t)
		s := serveNarrow(t, o, h)
		const n = 10
		conns := make([]*Conn, n)
		for i := range conns {
			p := dial(t, s)
			setReceiveBuffer(t, p, 48<<10)
			conns[i] = h.conn()
		}
		other := dial(t, s)
		c := h.conn()
		for _, c := range conns {
			on(t, c, func() {
				for queued := true; queued; {
					queued, _ = c.Send(make([]byte, 8<<10))
				}
			})
		}
		// served makes sure that the other one gets its echo.
		served := func() {
			other.send(hello)
			other.want(text, "Hello")
			allWritten(t, c)
		}
		served()
		// The kernel's buffers are full at some point, then time runs out.
		closed := 0
		eventually(t, "all are closed", func() bool {
			for _, c := range conns {
				on(t, c, func() { c.Send(make([]byte, 8<<10)) })
			}
			s.pass(t, o.WriteTimeout+time.Minute)
			for len(h.closed) > 0 {
				if r := <-h.closed; r.Cause != DropWriteTimeout || r.Code != CodeAbnormal {
					t.Errorf("closed: %+v", r)
				}
				closed++
			}
			return closed >= n
		})
		served()
	})
}

// TestSlowReader: a client whose Ping lies behind more than it reads in many ping
// intervals is alive as long as it goes on reading; one that stops is not.
func TestSlowReader(t *testing.T) {
	t.Parallel() // it waits for TCP to probe windows (RFC 9293 §3.8.6.1)
	transports(t, func(t *testing.T, o Options) {
		t.Parallel()
		o.PingInterval, o.WriteTimeout, o.StallLimit = time.Hour, 96*time.Minute, unstalled
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		setReceiveBuffer(t, p, 8<<10)
		c := h.conn()
		queue, read := 0, 0
		on(t, c, func() {
			for queued := true; queued; queue += 8 << 10 {
				queued, _ = c.Send(make([]byte, 8<<10))
			}
		})
		// received reports whether bytes have reached the peer's kernel since the
		// connection looked last.
		received := func() (yes bool) {
			on(t, c, func() {
				if acked, _, ok := c.acked(); ok {
					yes = acked != c.l.acked[c.slot]
				} else {
					yes = c.nc.written.Load() != c.nc.noticed
				}
			})
			return yes
		}
		b := make([]byte, 1600)
		for i := range 10 {
			for !received() {
				n, err := p.Read(b)
				if err != nil {
					t.Fatalf("in interval %d: %v", i, err)
				}
				read += n
			}
			s.pass(t, o.PingInterval*9/10)
			on(t, c, func() {
				if c.state != stateOpen || i > 0 && !c.has(flagPinged) {
					t.Errorf("after interval %d: state %d, pinged %v", i, c.state, c.has(flagPinged))
				}
			})
		}
		if read >= queue/2 {
			t.Errorf("the peer has read %d of %d bytes: the ping is not far away", read, queue)
		}
		if n := len(h.closed); n != 0 {
			t.Fatalf("closed: %+v", <-h.closed)
		}
		eventually(t, "it reads no more, and is closed", func() bool {
			s.pass(t, o.PingInterval)
			return len(h.closed) > 0
		})
		if r := <-h.closed; r.Cause != DropPingTimeout && r.Cause != DropWriteTimeout {
			t.Errorf("closed: %+v", r)
		}
	})
}

// TestPauseResume: a paused connection is not read, keeps the bytes that were read
// already, and neither loses nor reorders anything.
func TestPauseResume(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		var got []string // by the loop
		h.message = func(c *Conn, _ bool, p []byte) {
			got = append(got, string(p))
			c.Pause()
		}
		s := serve(t, o, h, nil)
		p := dial(t, s)
		c := h.conn()
		const n = 50
		var all []byte
		for i := range n {
			all = append(all, clientFrame(text, strings.Repeat(string(rune('a'+i%26)), 1+i*40))...)
		}
		p.send(append(all, bye...))
		for i := range n {
			eventually(t, "the next message", func() bool {
				have := 0
				on(t, c, func() { have = len(got) })
				return have == i+1
			})
			on(t, c, func() { c.Resume() })
		}
		p.wantClose(1000)
		for i, m := range got {
			if want := strings.Repeat(string(rune('a'+i%26)), 1+i*40); m != want {
				t.Fatalf("message %d is %q", i, m)
			}
		}
	})
}

// openedConn is a connection whose handshake has been written: the next write is of
// a frame.
func openedConn(t *testing.T, o Options) (*recorder, *testServer, *peer, *Conn) {
	t.Helper()
	h := newRecorder(t)
	s := serve(t, o, h, nil)
	p := dial(t, s)
	c := h.conn()
	eventually(t, "the response is written", func() bool { return s.Stats().Writes == 1 })
	return h, s, p, c
}

func TestCompact(t *testing.T) {
	b := opened(t, Options{WriteBuffer: 1 << 20}, echoHandler{})
	for range 10 {
		b.c.Send(bytes.Repeat([]byte("x"), 90)) // 92 bytes each
	}
	o := b.c.out
	for _, c := range []struct{ off, boundary int }{{0, 0}, {1, 0}, {92, 92}, {100, 92}, {919, 828}, {920, 920}} {
		o.off = c.off
		if got := o.boundary(); got != c.boundary {
			t.Errorf("boundary at %d: %d, want %d", c.off, got, c.boundary)
		}
	}
	o.off = 200
	left := string(o.buf[o.off:])
	o.compact()
	if string(o.buf[o.off:]) != left || o.off != 16 {
		t.Errorf("compact: off %d, %d bytes", o.off, len(o.buf))
	}
}

// TestRoomBehindLargeFrame: however large the frame is with which the room runs
// out, as much again is taken behind it as behind a small one.
func TestRoomBehindLargeFrame(t *testing.T) {
	const buffer, answer = 16 << 10, 1 << 10
	for _, size := range []int{answer, 1 << 20} {
		b := opened(t, Options{WriteBuffer: buffer}, echoHandler{})
		b.c.Send(make([]byte, buffer/2))
		for room := true; room; {
			queued := false
			if queued, room = b.c.Send(make([]byte, size)); !queued {
				t.Fatal("a frame is refused where there is room")
			}
		}
		if !b.c.Full() {
			t.Error("without room and not full")
		}
		taken := 0
		for {
			queued, room := b.c.Send(make([]byte, answer))
			if room {
				t.Fatal("room in a full queue")
			}
			if !queued {
				break
			}
			taken += answer
		}
		if taken < buffer || taken > 2*buffer {
			t.Errorf("%d bytes are taken behind frames of %d", taken, size)
		}
	}
}

// TestPongsRead: a client that always has something on its way, and reads it, may
// ping as often as it likes.
func TestPongsRead(t *testing.T) {
	b := opened(t, Options{ControlRate: -1}, echoHandler{})
	for i := range 1000 {
		b.feed(clientFrame(ping, strings.Repeat("p", 125)))
		if b.c.state != stateOpen {
			t.Fatalf("closed at ping %d: %q", i, b.output())
		}
		b.c.Send(make([]byte, 1000))
		b.c.out.off = len(b.c.out.buf) - 500 // all has left but half of the last message
	}
}
