package natstest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/embedded"
	"hydrant/bus/scheme"
)

// StartCluster runs three servers as one cluster.
func StartCluster(t testing.TB) []*embedded.Server {
	t.Helper()
	for {
		servers, err := tryCluster(t)
		if err == nil {
			return servers
		}
		if !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
}

// tryCluster fails if another process takes one of the ports that it has chosen:
// members have to know each other's before they start.
func tryCluster(t testing.TB) (servers []*embedded.Server, err error) {
	const size = 3
	addrs := make([]string, size)
	var routes []string
	var listeners []net.Listener
	for i := range addrs { // all are open at once, so that they differ
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, ln)
		addrs[i] = ln.Addr().String()
		routes = append(routes, "nats://"+addrs[i])
	}
	for _, ln := range listeners {
		if err := ln.Close(); err != nil {
			return nil, err
		}
	}
	for i, addr := range addrs {
		s, err := embedded.Start(embedded.Options{Open: true, DataDir: t.TempDir(), Cluster: &embedded.Cluster{
			Name: "C", Server: fmt.Sprintf("n%d", i), Listen: addr, Routes: routes,
		}})
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		servers = append(servers, s)
	}
	return servers, nil
}

// StartServer runs a server with options that package embedded does not have, on a
// free port.
func StartServer(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, true, t.TempDir()
	return Run(t, &o)
}

// Run runs a server for one test, with the options as they are.
func Run(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	ns, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(Patience) {
		t.Fatal("the server does not start")
	}
	return ns
}

// Start runs a server for one test.
func Start(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Options{Open: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Patience bounds what a test waits for, and all that it does with one context.
// What goes well takes a small part of it.
const Patience = 2 * time.Minute

// Context is for all that one test does; it ends with the test.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// WaitFor waits for a condition that nothing signals.
func WaitFor(t testing.TB, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(Patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("the condition did not come true")
		}
	}
}

// CloseAtEnd closes a connection when the test ends, and waits until it is.
func CloseAtEnd(t testing.TB, nc *nats.Conn) {
	t.Helper()
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
}

// User is a user of a server who may do what p allows.
func User(name string, p scheme.Permissions) *server.User {
	return &server.User{Username: name, Password: "p", Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
		Response:  response(p),
	}}
}

func response(p scheme.Permissions) *server.ResponsePermission {
	if p.Responses == 0 {
		return nil
	}
	return &server.ResponsePermission{MaxMsgs: p.Responses, Expires: p.Within}
}

// Users are the options of a server with JetStream and these users.
func Users(users map[string]scheme.Permissions) server.Options {
	o := server.Options{JetStream: true}
	for name, p := range users {
		o.Users = append(o.Users, User(name, p))
	}
	return o
}
