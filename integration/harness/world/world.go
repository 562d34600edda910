// Package world is the scene of a test: one NATS server or three, the nodes and
// services on it, and the clients, whose failures end the test. Package harness
// returns its errors, so that programs can use it as well; this one takes a
// [testing.T]. Nor does it share code with Hydrant: it knows the subjects, the
// mailboxes and the directory as any NATS client does.
//
// Most tests share one world ([Shared]). A test that harms a node or NATS has
// its own ([Own]).
package world

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// A World is one NATS server, the nodes and services on it, and a connection
// for the test's own services and publishers.
type World struct {
	// Immutable after newWorld.
	NATS *harness.NATS
	Conn *nats.Conn
	JS   jetstream.JetStream

	// Guarded by mu.
	mu    sync.Mutex
	nodes map[string]*harness.Node
	echo  *harness.Process
	conns []*nats.Conn
	// Names of mailboxes' streams, by session.
	streams map[string]string
}

// newWorld starts the server. Nodes are started when they are asked for.
func newWorld(ctx context.Context, o harness.NATSOptions) (*World, error) {
	servers, err := harness.StartNATS(ctx, o)
	if err != nil {
		return nil, err
	}
	w := &World{NATS: servers, nodes: make(map[string]*harness.Node)}
	if w.Conn, err = w.connect("test"); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if w.JS, err = jetstream.New(w.Conn); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *World) connect(name string) (*nats.Conn, error) {
	nc, err := w.NATS.Connect(name)
	if err == nil {
		w.mu.Lock()
		w.conns = append(w.conns, nc)
		w.mu.Unlock()
	}
	return nc, err
}

func (w *World) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, node := range w.nodes {
		node.Kill()
	}
	if w.echo != nil {
		w.echo.Kill()
	}
	for _, nc := range w.conns {
		nc.Close()
	}
	return w.NATS.Stop()
}

// Own starts a world for one test alone.
func Own(t *testing.T, o harness.NATSOptions) *World {
	t.Helper()
	w, err := newWorld(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	w.explain(t)
	return w
}

// common is the world that most tests share; see [CloseShared].
var common struct {
	once  sync.Once
	world *World
	err   error
}

// Shared returns the common world.
func Shared(t *testing.T) *World {
	t.Helper()
	common.once.Do(func() {
		common.world, common.err = newWorld(context.Background(), harness.NATSOptions{Watch: true})
	})
	if common.err != nil {
		t.Fatal(common.err)
	}
	common.world.explain(t)
	return common.world
}

// CloseShared ends the common world and says what its watch has found.
func CloseShared() []string {
	w := common.world
	if w == nil {
		return nil
	}
	var complaints []string
	if err := w.NATS.Watch.Fence(context.Background(), w.Conn); err != nil {
		complaints = append(complaints, err.Error())
	}
	for _, subject := range w.NATS.Watch.Violations() {
		complaints = append(complaints, fmt.Sprintf("a message outside the scheme, on %.300q", subject))
	}
	if err := w.close(); err != nil {
		complaints = append(complaints, err.Error())
	}
	return complaints
}

// The settings of the nodes. "a" and "b" are as a user gets them.
var settings = map[string]map[string]string{
	"a": {},
	"b": {},
	// Everything that a test wants to be shorter, smaller or known.
	"tuned": {
		"EDGE_REQUEST_TIMEOUT": "300ms",
		"EDGE_PING_INTERVAL":   "5s", // in which a client answers, also where it does not run for a while
		"EDGE_TRUSTED_PROXIES": "127.0.0.0/8",
		"EDGE_ALLOWED_ORIGINS": "https://app.example",
	},
	// Its times are the usual ones: what administrators ask for may take a while.
	"administered": {"EDGE_ADMIN_TOKEN": AdminToken},
	// Takes more than NATS does.
	"large": {"EDGE_MAX_MESSAGE": "4194304"},
	"signed": {
		"EDGE_SIGNATURE":      "required",
		"EDGE_SIGNATURE_KEYS": SigningKey + "," + OlderSigningKey,
	},
	"guarded": {
		"EDGE_RESUME":     "token",
		"EDGE_ROUTER_API": "admin",
	},
}

// Secrets of the nodes "administered" and "signed".
const (
	AdminToken      = "a-token-for-the-tests-0123456789abcdef"
	SigningKey      = "a-signing-key-for-the-tests-é-0123456789"
	OlderSigningKey = "an-older-signing-key-for-the-tests-9876543210"
)

// Node returns the node with those settings, started at the first call.
func (w *World) Node(t *testing.T, name string) *harness.Node {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if node := w.nodes[name]; node != nil {
		return node
	}
	env, ok := settings[name]
	if !ok {
		t.Fatalf("no settings are called %q", name)
	}
	return w.startLocked(t, name, env)
}

// Start starts a further node, with settings of its own.
func (w *World) Start(t *testing.T, name string, env map[string]string) *harness.Node {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.startLocked(t, name, env)
}

func (w *World) startLocked(t *testing.T, name string, env map[string]string) *harness.Node {
	t.Helper()
	env = maps.Clone(env)
	if env == nil {
		env = make(map[string]string)
	}
	if _, ok := env["EDGE_MAILBOX_STREAMS"]; !ok {
		env["EDGE_MAILBOX_STREAMS"] = "2" // fewer are made faster; the nodes of a world must agree
	}
	node, err := harness.StartNode(context.Background(), harness.NodeOptions{Name: name, NATS: w.NATS.URL(), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	w.nodes[name] = node
	return node
}

// EchoService starts the example service, once, with further variables.
func (w *World) EchoService(t *testing.T, env ...string) string {
	t.Helper()
	const name = "echo-svcs"
	w.mu.Lock()
	if w.echo == nil {
		var err error
		if w.echo, err = harness.StartEcho(w.NATS.URL(), name, env...); err != nil {
			w.mu.Unlock()
			t.Fatal(err)
		}
	}
	w.mu.Unlock()
	if err := harness.Until(Patient(t), func() error {
		_, err := w.Conn.Request("$SRV.PING."+name, nil, harness.Patience)
		return err // "no responders" comes at once
	}); err != nil {
		t.Fatalf("no echo service: %v\n%s", err, w.echo.Log.Tail(4096))
	}
	return name
}

// StopEcho ends the example service, in order.
func (w *World) StopEcho(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.echo.Terminate(Patient(t)); err != nil {
		t.Fatal(err)
	}
}

// explain prints, if the test fails, what the processes said meanwhile.
func (w *World) explain(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	marks := make(map[string]int64)
	for name, node := range w.nodes {
		marks[name] = node.Log.Mark()
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for name, node := range w.nodes {
			text := node.Log.Since(marks[name])
			t.Logf("node %s said:\n%s", name, text[max(0, len(text)-6000):])
		}
	})
}

// RestartNATS starts the server after a kill, and waits for the node.
func (w *World) RestartNATS(t *testing.T, node *harness.Node) {
	t.Helper()
	if err := w.NATS.Servers[0].Start(); err != nil {
		t.Fatal(err)
	}
	w.Settle(t, node)
}

// Settle waits until NATS and the node are there again.
func (w *World) Settle(t *testing.T, node *harness.Node) {
	t.Helper()
	if err := w.NATS.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := harness.Until(Patient(t), func() error { return w.Conn.FlushTimeout(harness.Patience) }); err != nil {
		t.Fatal(err)
	}
	if err := node.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}
