//go:build e2e && peers

package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// front is one address for several servers: each connection goes to the next one that is
// there.
type front struct {
	addr    string
	targets []string

	mu sync.Mutex
	at int // where the last connection went
	n  int // connections
}

func newFront(t *testing.T, targets []string) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	f := &front{addr: listener.Addr().String(), targets: targets}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go f.serve(client)
		}
	}()
	return f
}

func (f *front) last() (at, connections int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, f.n
}

func (f *front) serve(client net.Conn) {
	defer client.Close()
	at, _ := f.last()
	for i := range f.targets {
		next := (at + 1 + i) % len(f.targets)
		server, err := net.Dial("tcp", f.targets[next])
		if err != nil {
			continue
		}
		defer server.Close()
		f.mu.Lock()
		f.at = next
		f.n++
		f.mu.Unlock()
		ended := make(chan struct{}, 2)
		pump := func(to, from net.Conn) {
			_, _ = io.Copy(to, from) // either end may have gone
			ended <- struct{}{}
		}
		go pump(server, client)
		go pump(client, server)
		<-ended
		return
	}
}

// reachable tells whether somebody listens.
func reachable(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
