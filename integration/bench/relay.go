package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// A relay is a gateway as one would write it with libraries: net/http, a
// WebSocket library, a goroutine for each connection, and one NATS request for
// each message. It keeps no session and stores nothing. What it spends on a
// message, on this machine and at this moment, is what a node's figure is to
// be set against.
const (
	relayCommand = "relay" // the first argument of such a process
	relaySubject = "bench.relay"
)

// runRelay is the process: it listens on addr until it is killed.
func runRelay(addr, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered
		}
		defer conn.CloseNow()
		_ = serveRelay(r.Context(), conn, nc) // ends when the client goes
	}))
}

func serveRelay(ctx context.Context, conn *websocket.Conn, nc *nats.Conn) error {
	const welcome = `{"typ":"connection","bdy":{"id":"relay"}}`
	if err := conn.Write(ctx, websocket.MessageText, []byte(welcome)); err != nil {
		return err
	}
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		answer, err := nc.RequestWithContext(ctx, relaySubject, text)
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, websocket.MessageText, answer.Data); err != nil {
			return err
		}
	}
}

// startRelay runs this program as a relay.
func (b *bench) startRelay(ctx context.Context) (*harness.Node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.startGateway(ctx, relayCommand, self, func(addr string) (args, env []string) {
		return []string{relayCommand, addr, b.nats.URL()}, nil
	})
}

// startGateway runs a program in the place of a node, without an
// administrators' listener, and returns when it listens on the address that
// options gives it.
func (b *bench) startGateway(ctx context.Context, name, path string, options func(addr string) (args, env []string)) (*harness.Node, error) {
	addr, err := harness.FreeAddr()
	if err != nil {
		return nil, err
	}
	args, env := options(addr)
	log := &harness.Log{}
	p, err := harness.StartProcess(name, path, args, env, log, log)
	if err != nil {
		return nil, err
	}
	n := &harness.Node{Process: p, Addr: addr}
	b.nodes[name] = n
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return n, harness.Until(ctx, func() error {
		select {
		case <-p.Exited():
			cancel(harness.ErrExited)
			return fmt.Errorf("%s: %w: %s", name, errLog, log.Tail(1024))
		default:
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// relayed measures the relay as service does a node.
func relayed(ctx context.Context, b *bench) error {
	relay, err := b.startRelay(ctx)
	if err != nil {
		return err
	}
	return b.relays(ctx, "floor: relay, 2,000/s", relay, dial, func(s *socket, tag string) *stream {
		return exchange(s, s, "relay:/", "bench", tag, inMid(tag))
	})
}

// relays measures a gateway that turns each message into a request.
func (b *bench) relays(ctx context.Context, name string, relay *harness.Node, dial dialer, calls func(s *socket, tag string) *stream) error {
	answerer, err := b.connect("bench-answerer")
	if err != nil {
		return err
	}
	_, err = answerer.Subscribe(relaySubject, func(m *nats.Msg) { _ = m.Respond(m.Data) }) // a lost answer is counted
	if err == nil {
		err = answerer.Flush()
	}
	if err != nil {
		return err
	}
	sockets, err := b.fleet(relay.Addr, b.clients, dial)
	defer resetAll(sockets)
	if err != nil {
		return err
	}
	t, tag := &traffic{}, b.tag()
	for _, s := range sockets {
		t.streams = append(t.streams, calls(s, tag))
	}
	return b.note(b.observe(ctx, name, t, atRate(t, 2000), relay))
}

// relayProcess runs the relay if the arguments ask for it. A test binary calls
// it too, which is its own relay.
func relayProcess(args []string) {
	if len(args) != 4 || args[1] != relayCommand {
		return
	}
	if err := runRelay(args[2], args[3]); err != nil {
		_, _ = os.Stderr.WriteString(strings.TrimSpace(err.Error()) + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}
