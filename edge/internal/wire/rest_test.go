package wire

import (
	"context"
	"testing"
)

// TestRestIsTaken: after a close of ours with TakeRest, messages that the peer had sent
// before it knew are handed out, in order, until its close frame; a Pause keeps them
// waiting.
func TestRestIsTaken(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		got := make(chan string, 64)
		h.message = func(c *Conn, _ bool, p []byte) {
			got <- string(p)
			if string(p) == "wait" {
				c.Pause()
			}
		}
		s := serve(t, o, h, nil)
		want := func(list ...string) {
			t.Helper()
			for _, w := range list {
				if m := receive(t, got, "no message"); m != w {
					t.Errorf("got %q, want %q", m, w)
				}
			}
		}
		for name, end := range map[string]func(*Conn){
			"Close":   func(c *Conn) { c.TakeRest(); c.Close(1012, "") },
			"Discard": func(c *Conn) { c.TakeRest(); c.Discard(1012, "") },
			"a paused connection": func(c *Conn) {
				c.TakeRest()
				c.Pause()
				c.Close(1012, "")
				c.l.AfterFunc(0, c.Resume)
			},
		} {
			p := dial(t, s)
			c := h.conn()
			allWritten(t, c) // Discard of half a frame is an end
			on(t, c, func() { end(c) })
			p.want(0x88, "\x03\xf4")
			p.send(join(hello, clientFrame(start, "in "), clientFrame(ping, "p"), clientFrame(last, "two"), clientFrame(text, "wait"), clientFrame(text, "last")))
			want("Hello", "in two", "wait")
			select {
			case m := <-got:
				t.Errorf("%s: %q in spite of Pause", name, m)
			default:
			}
			on(t, c, c.Resume)
			want("last")
			p.send(join(clientClose(1012, ""), hello))
			p.wantEnd()
			h.wantClosed(DropLocal, 1012)
			select {
			case m := <-got:
				t.Errorf("%s: %q behind the peer's close frame", name, m)
			default:
			}
		}
	})
}

// TestShutdownTakesTheRest: the close of a shutdown is one that the peer knows of only
// when it has read it.
func TestShutdownTakesTheRest(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		got := make(chan string, 4)
		h.message = func(_ *Conn, _ bool, p []byte) { got <- string(p) }
		s := serve(t, o, h, nil)
		p := dial(t, s)
		h.conn()
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			done <- s.Shutdown(ctx)
		}()
		p.want(0x88, "\x03\xe9")
		p.send(join(hello, clientClose(1001, "")))
		if m := receive(t, got, "the message is lost"); m != "Hello" {
			t.Errorf("got %q", m)
		}
		p.wantEnd()
		_ = p.Close()
		h.wantClosed(DropShutdown, 1001)
		if err := receive(t, done, "no end"); err != nil {
			t.Error(err)
		}
	})
}

// TestRestIsBounded: the bounds of a connection count for its rest as well.
func TestRestIsBounded(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.MessageRate, o.MessageBurst = 1e-9, 2
		h := newRecorder(t)
		got := make(chan string, 8)
		h.message = func(_ *Conn, _ bool, p []byte) { got <- string(p) }
		s := serve(t, o, h, nil)
		p := dial(t, s)
		c := h.conn()
		on(t, c, func() { c.TakeRest(); c.Close(1012, "") })
		p.want(0x88, "\x03\xf4")
		p.send(join(hello, hello, hello, bye))
		p.wantEnd()
		h.wantClosed(DropLocal, 1012)
		if n := len(got); n != 2 {
			t.Errorf("%d messages", n)
		}
	})
}
