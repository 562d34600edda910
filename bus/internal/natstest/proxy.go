package natstest

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a client and a server and can stop forwarding without
// closing anything: a server that hangs.
type Proxy struct {
	ln     net.Listener
	Frozen atomic.Bool   // nothing is forwarded any more
	thaw   chan struct{} // closed by close
	conns  sync.WaitGroup
}

// NewProxy listens on a port of its own and forwards to a server until the test
// ends.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{ln: ln, thaw: make(chan struct{})}
	p.conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", strings.TrimPrefix(to, "nats://"))
			if err != nil {
				_ = c.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
				p.conns.Go(func() { p.forward(pair[0], pair[1]) })
			}
		}
	})
	t.Cleanup(func() {
		close(p.thaw)
		_ = ln.Close()
		p.conns.Wait()
	})
	return p
}

// URL is where clients find it.
func (p *Proxy) URL() string { return "nats://" + p.ln.Addr().String() }

func (p *Proxy) forward(from, to net.Conn) {
	defer func() { _ = errors.Join(from.Close(), to.Close()) }() // the other direction may have been first
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if p.Frozen.Load() {
			<-p.thaw
			return
		}
		if _, werr := to.Write(buf[:n]); werr != nil || err == io.EOF || err != nil {
			return
		}
	}
}
