package wire

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClose: our close handshake (RFC 6455 §7.1.2), after the pending frames.
func TestClose(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		pongs := make(chan string, 4)
		h.pong = func(_ *Conn, p []byte) { pongs <- string(p) }
		s := serve(t, o, h, nil)
		p := dial(t, s)
		c := h.conn()
		on(t, c, func() {
			c.Send([]byte("last"))
			c.Ping([]byte("barrier"))
			c.Close(1012, "restart")
			if c.Open() {
				t.Error("still open")
			}
			if queued, room := c.Send([]byte("too late")); queued || room {
				t.Error("sent after Close")
			}
			c.Close(1000, "twice")
		})
		p.want(text, "last")
		p.want(ping, "barrier")
		p.want(0x88, "\x03\xf4restart")
		// Frames that the peer sent before it got the close frame: messages are
		// dropped, but pongs still tell what has arrived.
		p.send(join(hello, clientFrame(pong, "barrier")))
		if got := receive(t, pongs, "no Pong"); got != "barrier" {
			t.Errorf("pong %q", got)
		}
		select {
		case r := <-h.closed:
			t.Errorf("Closed %v before the peer has answered", r)
		default:
		}
		p.send(clientClose(1012, ""))
		p.wantEnd()
		h.wantClosed(DropLocal, 1012)
	})
}

// TestCloseTimeout: however a connection comes to its end, CloseTimeout bounds it.
func TestCloseTimeout(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.CloseTimeout, o.StallLimit = time.Hour, unstalled
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		wantTimeout := func() {
			t.Helper()
			if n := s.Stats().Connections; n != 1 {
				t.Errorf("%d connections before the time-out", n)
			}
			s.pass(t, o.CloseTimeout+time.Minute)
			eventually(t, "closed", func() bool { return s.Stats().Connections == 0 })
		}

		p := dial(t, s) // never answers our close frame
		c := h.conn()
		on(t, c, func() { c.Close(4401, "") })
		p.want(0x88, "\x11\x31")
		wantTimeout()
		h.wantClosed(DropLocal, 4401)

		p = dial(t, s) // has closed, but never ends its stream
		p.send(bye)
		p.wantClose(1000)
		h.wantClosed(DropPeer, 1000)
		wantTimeout()

		p = dial(t, s) // was failed, and sends on
		stop := make(chan struct{})
		var flood sync.WaitGroup
		flood.Go(func() {
			_, _ = p.Write([]byte("\xff\xff"))
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := p.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			}
		})
		h.wantClosed(DropProtocol, 1002)
		wantTimeout()
		close(stop)
		_ = p.Close()
		flood.Wait()
	})
}

func TestAbort(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		h.message = func(c *Conn, _ bool, p []byte) {
			c.Send(p)
			c.Abort()
			c.Abort()
			if queued, _ := c.Send(p); queued {
				t.Error("sent after Abort")
			}
			select {
			case <-h.closed:
				t.Error("Closed from inside another call")
			default:
			}
		}
		s := serve(t, o, h, nil)
		p := dial(t, s)
		p.send(join(hello, hello))
		p.wantReset()
		h.wantClosed(DropAborted, CodeAbnormal)
		eventually(t, "gone", func() bool { return s.Stats().Connections == 0 })
	})
}

func TestPeerLeaves(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		h.conn()
		_ = p.Close()
		h.wantClosed(DropEOF, CodeAbnormal)

		p = dial(t, s) // in the middle of a message
		h.conn()
		p.send(clientFrame(start, "half"))
		_ = p.Close()
		h.wantClosed(DropEOF, CodeAbnormal)

		if o.TLS == nil {
			p = dial(t, s)
			h.conn()
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
			_ = p.Close()
			h.wantClosed(DropReset, CodeAbnormal)

			p = dial(t, s) // the last bytes and the end in one
			h.conn()
			p.send(hello)
			_ = p.Conn.(*net.TCPConn).CloseWrite()
			h.wantClosed(DropEOF, CodeAbnormal)
		}
		if n := s.memory.used.Load(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	})
}

// TestHalfClosed: a peer that ends its stream right behind its close frame
// gets ours.
func TestHalfClosed(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		if o.TLS != nil {
			return // crypto/tls reads nothing after its own end
		}
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		p.send(join(hello, bye))
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		p.want(text, "Hello")
		p.wantClose(1000)
		h.wantClosed(DropPeer, 1000)
		eventually(t, "gone", func() bool { return s.Stats().Connections == 0 })
	})
}

func TestShutdown(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		half := dialRaw(t, s)
		half.send([]byte("GET / HTTP/1.1\r\n"))
		c := h.conn()
		on(t, c, func() { c.Send([]byte("last")) })
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			done <- s.Shutdown(ctx)
		}()
		p.want(text, "last")
		p.want(0x88, "\x03\xe9")
		half.wantGone()
		p.send(clientClose(1001, ""))
		p.wantEnd()
		_ = p.Close()
		h.wantClosed(DropShutdown, CodeGoingAway)
		if err := receive(t, done, "Shutdown does not return"); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if c.Loop().Post(func() {}) {
			t.Error("Post on a stopped loop")
		}
		if err := c.Loop().PostWait(context.Background(), func() {}); !errors.Is(err, ErrLoopStopped) {
			t.Errorf("PostWait on a stopped loop: %v", err)
		}
	})
}

// TestShutdownAborts: when its context ends, Shutdown waits no longer.
func TestShutdownAborts(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		h.conn()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown: %v", err)
		}
		p.wantGone()
		receive(t, h.closed, "Closed was not called")
	})
}

func TestStopAccepting(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		p := dial(t, s)
		s.StopAccepting()
		eventually(t, "connections are refused", func() bool {
			nc, err := net.Dial("tcp", s.addr)
			if err == nil {
				_ = nc.Close()
			}
			return err != nil
		})
		p.send(join(hello, bye))
		p.want(text, "Hello")
		p.wantClose(1000)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(ln); !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// TestDescriptorReuse closes connections from all sides at once while others
// come, so that descriptor numbers and slots are used again at once: no peer may
// get another's bytes. It is meant for -race.
func TestDescriptorReuse(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		rounds, workers := 60, 8
		if o.TLS != nil {
			rounds = 8
		}
		h := newRecorder(t)
		h.message = func(c *Conn, text bool, p []byte) {
			switch {
			case bytes.HasPrefix(p, []byte("abort")):
				c.Abort()
			case bytes.HasPrefix(p, []byte("close")):
				c.Close(4000, "")
			case bytes.HasPrefix(p, []byte("later")):
				go c.Loop().Post(c.Abort) // from outside, while events come
				echoTo(c, text, p)
			default:
				echoTo(c, text, p)
			}
		}
		s := serve(t, o, h, nil)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					name := strings.Repeat(string(rune('a'+w)), 200+i)
					p := dial(t, s)
					p.send(clientFrame(text, name))
					p.want(text, name)
					switch i % 5 {
					case 0:
						p.send(clientFrame(text, "abort"))
					case 1:
						p.send(clientFrame(text, "close"))
					case 2:
						p.send(join(clientFrame(text, "later"), hello, hello))
					case 3:
						p.send(bye)
					case 4:
						p.send(clientFrame(start, "half")) // and away
					}
					_ = p.Close()
				}
			})
		}
		wg.Wait()
		for range rounds * workers {
			receive(t, h.closed, "Closed was not called")
		}
		eventually(t, "all gone", func() bool {
			st := s.Stats()
			return st.Connections == 0 && st.Upgraded == 0 && st.Upgrades == uint64(rounds*workers)
		})
	})
}
