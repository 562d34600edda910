package natstest

import (
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Split is a cluster of three servers of which the first can be cut off from the
// two others and joined to them again. Its clients stay connected.
type Split struct {
	Servers []*server.Server

	gates []*gate // in front of each server's address for other servers
}

// NewSplit starts the cluster and waits until it is one.
func NewSplit(t testing.TB) *Split {
	t.Helper()
	const size = 3
	s := &Split{Servers: make([]*server.Server, size)}
	addrs := make([]string, size)
	for i, ln := range listen(t, size) { // the servers' own, who listen on them next
		addrs[i] = ln.Addr().String()
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		s.gates = append(s.gates, newGate(t, addrs[i]))
	}
	// Whatever the first server dials, and whoever dials it, goes through a gate, since
	// servers tell one another the addresses that they advertise. The others are
	// connected before they hear of any.
	start := func(i int, routes ...string) {
		s.Servers[i] = startMember(t, i, addrs[i], s.gates[i].addr(), routes)
	}
	start(1, s.gates[0].addr(), addrs[2])
	start(2, s.gates[0].addr(), addrs[1])
	waitForRoutes(t, s.Servers[1:], 1)
	start(0, s.gates[1].addr(), s.gates[2].addr())
	waitForRoutes(t, s.Servers, size-1)
	WaitFor(t, func() bool {
		for _, ns := range s.Servers {
			if ns.JetStreamIsLeader() {
				return len(ns.JetStreamClusterPeers()) == size
			}
		}
		return false
	})
	return s
}

// startMember starts one server, which the others find at its gate.
func startMember(t testing.TB, i int, addr, advertise string, routes []string) *server.Server {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		ServerName: "n" + strconv.Itoa(i),
	}
	o.Cluster.Name, o.Cluster.Host, o.Cluster.Advertise, o.Cluster.PoolSize = "C", host, advertise, -1
	if o.Cluster.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: r})
	}
	return Run(t, o)
}

func waitForRoutes(t testing.TB, servers []*server.Server, n int) {
	t.Helper()
	WaitFor(t, func() bool {
		for _, ns := range servers {
			if ns.NumRemotes() < n {
				return false
			}
		}
		return true
	})
}

// Cut separates the first server from the others, and returns when all three know.
func (s *Split) Cut(t testing.TB) {
	t.Helper()
	for _, g := range s.gates {
		g.set(false)
	}
	WaitFor(t, func() bool {
		return s.Servers[0].NumRemotes() == 0 && s.Servers[1].NumRemotes() == 1 && s.Servers[2].NumRemotes() == 1
	})
}

// Heal joins them again. It does not wait.
func (s *Split) Heal() {
	for _, g := range s.gates {
		g.set(true)
	}
}

// listen opens n ports at once, so that they differ.
func listen(t testing.TB, n int) (list []net.Listener) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ln)
	}
	return list
}

// gate forwards connections to an address, or ends all that it has and takes no
// others.
type gate struct {
	ln net.Listener
	to string

	// Guarded by mu.
	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
	work  sync.WaitGroup
}

func newGate(t testing.TB, to string) *gate {
	t.Helper()
	g := &gate{ln: listen(t, 1)[0], to: to, conns: make(map[net.Conn]bool)}
	g.work.Go(g.serve)
	t.Cleanup(func() {
		_ = g.ln.Close()
		g.set(false)
		g.work.Wait()
	})
	return g
}

func (g *gate) addr() string { return g.ln.Addr().String() }

func (g *gate) serve() {
	for {
		c, err := g.ln.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", g.to)
		if err != nil {
			_ = c.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
			if g.add(pair[0]) {
				g.work.Go(func() { g.forward(pair[0], pair[1]) })
			}
		}
	}
}

// add notes a connection, or ends it.
func (g *gate) add(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = c.Close()
		return false
	}
	g.conns[c] = true
	return true
}

func (g *gate) forward(from, to net.Conn) {
	_, _ = io.Copy(to, from) // ends with either connection
	_ = errors.Join(from.Close(), to.Close())
	g.mu.Lock()
	delete(g.conns, from)
	g.mu.Unlock()
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = !open
	if open {
		return
	}
	for c := range g.conns {
		_ = c.Close()
	}
}
