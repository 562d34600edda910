package wire

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// finish ends the peer's half of the stream.
func (p *peer) finish() {
	p.t.Helper()
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

// atOnce runs f while no loop does, so that they find all that it has sent at once.
func (s *testServer) atOnce(t *testing.T, f func()) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{}, len(s.Loops()))
	defer close(stop)
	for _, l := range s.Loops() {
		if !l.Post(func() { stopped <- struct{}{}; <-stop }) {
			t.Fatal("the loop takes nothing")
		}
	}
	for range s.Loops() {
		receive(t, stopped, "the loop does not run")
	}
	f()
}

// TestFinBehindFrames: a peer that ends its stream right behind what it sends gets all
// answers, though it has sent no close frame.
func TestFinBehindFrames(t *testing.T) {
	big := strings.Repeat("big", 100_000)
	transports(t, func(t *testing.T, o Options) {
		if o.TLS != nil {
			return // crypto/tls reads nothing after its own end
		}
		o.StallLimit = unstalled
		for name, c := range map[string]rule{
			"a text":      {send: hello, want: []serverFrame{got(text, "Hello")}},
			"a ping":      {send: alive, want: []serverFrame{got(pong, "alive?")}},
			"some frames": {send: join(hello, alive, hello), want: []serverFrame{got(text, "Hello"), got(pong, "alive?"), got(text, "Hello")}},
			"more frames than one turn has": {send: []byte(strings.Repeat(string(hello), 3*frameBudget)),
				want: repeat(got(text, "Hello"), 3*frameBudget)},
			"fragments":                       {send: join(clientFrame(start, "Hel"), clientFrame(last, "lo")), want: []serverFrame{got(text, "Hello")}},
			"half a frame":                    {send: join(hello, hello[:4]), want: []serverFrame{got(text, "Hello")}},
			"what fills the kernel's buffers": {send: clientFrame(text, big), want: []serverFrame{got(text, big)}},
		} {
			t.Run(name, func(t *testing.T) {
				h := newRecorder(t)
				s := serveNarrow(t, o, h)
				check := func(p *peer) {
					t.Helper()
					for _, f := range c.want {
						p.want(f.first, string(f.payload))
					}
					p.wantEnd()
					h.wantClosed(DropEOF, CodeAbnormal)
				}
				p := dial(t, s)
				h.conn()
				s.atOnce(t, func() {
					p.send(c.send[:min(len(c.send), 60<<10)])
					go func() { p.send(c.send[min(len(c.send), 60<<10):]); p.finish() }()
				})
				check(p)

				if len(c.send) > 60<<10 {
					return
				}
				p = dialRaw(t, s) // with the upgrade
				s.atOnce(t, func() { p.send(join([]byte(upgradeRequest()), c.send)); p.finish() })
				p.wantUpgraded()
				check(p)
			})
		}
	})
}

// TestFinBehindUpgrade: the same with requests, which are answered.
func TestFinBehindUpgrade(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		if o.TLS != nil {
			return
		}
		o.StallLimit = unstalled
		h := newRecorder(t)
		h.open = func(c *Conn) { c.Send([]byte("welcome")) }
		s := serve(t, o, h, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			select {
			case <-r.Context().Done():
				t.Error("the request is given up")
			default:
			}
			_, _ = w.Write(body)
		}))
		p := dialRaw(t, s)
		s.atOnce(t, func() { p.send([]byte(upgradeRequest())); p.finish() })
		p.wantUpgraded()
		p.want(text, "welcome")
		p.wantEnd()
		h.wantClosed(DropEOF, CodeAbnormal)

		p = dialRaw(t, s)
		s.atOnce(t, func() { p.send([]byte("nonsense\r\n\r\n")); p.finish() })
		p.wantStatus(400)

		p = dialRaw(t, s)
		s.atOnce(t, func() {
			p.send([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"))
			p.finish()
		})
		r := p.response()
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "body" {
			t.Errorf("%v %q %v", r.Status, body, err)
		}
	})
}

// TestFinWhileClosing: what was queued before a close of ours, and its close frame,
// reach a peer that has ended its stream without one.
func TestFinWhileClosing(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		if o.TLS != nil {
			return
		}
		o.StallLimit = unstalled
		h := newRecorder(t)
		h.message = func(c *Conn, _ bool, p []byte) {
			c.Send(p)
			c.Close(1012, "")
		}
		s := serve(t, o, h, nil)
		p := dial(t, s)
		h.conn()
		s.atOnce(t, func() { p.send(hello); p.finish() })
		p.want(text, "Hello")
		p.wantClose(1012)
		h.wantClosed(DropLocal, 1012)
	})
}
