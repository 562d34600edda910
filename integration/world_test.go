package integration

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

// A world is one NATS server, the nodes and services on it, and a connection
// for the test's own services and publishers.
type world struct {
	// Immutable after newWorld.
	nats *harness.NATS
	nc   *nats.Conn
	js   jetstream.JetStream

	// Guarded by mu.
	mu    sync.Mutex
	nodes map[string]*harness.Node
	echo  *harness.Process
	conns []*nats.Conn

	streams map[string]string // of mailboxes, by session
}

// newWorld starts the server. Nodes are started when they are asked for.
func newWorld(ctx context.Context, o harness.NATSOptions) (*world, error) {
	servers, err := harness.StartNATS(ctx, o)
	if err != nil {
		return nil, err
	}
	w := &world{nats: servers, nodes: make(map[string]*harness.Node)}
	if w.nc, err = w.connect("test"); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) connect(name string) (*nats.Conn, error) {
	nc, err := w.nats.Connect(name)
	if err == nil {
		w.mu.Lock()
		w.conns = append(w.conns, nc)
		w.mu.Unlock()
	}
	return nc, err
}

func (w *world) close() error {
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
	return w.nats.Stop()
}

// own starts a world for one test alone.
func own(t *testing.T, o harness.NATSOptions) *world {
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

// common is the world that most tests share; see closeShared.
var common struct {
	once  sync.Once
	world *world
	err   error
}

// shared returns the common world.
func shared(t *testing.T) *world {
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

// closeShared ends the common world and says what its watch has found.
func closeShared() []string {
	w := common.world
	if w == nil {
		return nil
	}
	var complaints []string
	if err := w.nats.Watch.Fence(context.Background(), w.nc); err != nil {
		complaints = append(complaints, err.Error())
	}
	for _, subject := range w.nats.Watch.Violations() {
		complaints = append(complaints, fmt.Sprintf("S2-S3: a message outside the scheme, on %.300q", subject))
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
		"EDGE_PING_INTERVAL":   "2s", // in which a client answers, also where it does not run for a while
		"EDGE_TRUSTED_PROXIES": "127.0.0.0/8",
		"EDGE_ALLOWED_ORIGINS": "https://app.example",
	},
	// Its times are the usual ones: what administrators ask for may take a while.
	"administered": {"EDGE_ADMIN_TOKEN": adminToken},
	// Takes more than NATS does.
	"large": {"EDGE_MAX_MESSAGE": "4194304"},
	"signed": {
		"EDGE_SIGNATURE":      "required",
		"EDGE_SIGNATURE_KEYS": signingKey + "," + olderSigningKey,
	},
	"guarded": {
		"EDGE_RESUME":     "token",
		"EDGE_ROUTER_API": "admin",
	},
}

const (
	adminToken      = "a-token-for-the-tests-0123456789abcdef"
	signingKey      = "a-signing-key-for-the-tests-é-0123456789"
	olderSigningKey = "an-older-signing-key-for-the-tests-9876543210"
)

// node returns the node with those settings, started at the first call.
func (w *world) node(t *testing.T, name string) *harness.Node {
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

// start starts a further node, with settings of its own.
func (w *world) start(t *testing.T, name string, env map[string]string) *harness.Node {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.startLocked(t, name, env)
}

func (w *world) startLocked(t *testing.T, name string, env map[string]string) *harness.Node {
	t.Helper()
	env = maps.Clone(env)
	if env == nil {
		env = make(map[string]string)
	}
	if _, ok := env["EDGE_MAILBOX_STREAMS"]; !ok {
		env["EDGE_MAILBOX_STREAMS"] = "2" // fewer are made faster; the nodes of a world must agree
	}
	node, err := harness.StartNode(context.Background(), harness.NodeOptions{Name: name, NATS: w.nats.URL(), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	w.nodes[name] = node
	return node
}

// echoService starts the example service, once, with further variables.
func (w *world) echoService(t *testing.T, env ...string) string {
	t.Helper()
	const name = "echo-svcs"
	w.mu.Lock()
	if w.echo == nil {
		var err error
		if w.echo, err = harness.StartEcho(w.nats.URL(), name, env...); err != nil {
			w.mu.Unlock()
			t.Fatal(err)
		}
	}
	w.mu.Unlock()
	if err := harness.Until(patient(t), func() error {
		_, err := w.nc.Request("$SRV.PING."+name, nil, harness.Patience)
		return err // "no responders" comes at once
	}); err != nil {
		t.Fatalf("no echo service: %v\n%s", err, w.echo.Log.Tail(4096))
	}
	return name
}

// explain prints, if the test fails, what the processes said meanwhile.
func (w *world) explain(t *testing.T) {
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
