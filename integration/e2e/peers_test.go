//go:build e2e && peers

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// A peer is another client, with servers of its own kind.
type peer struct {
	name, label string
	what        string // its servers
	server      func(w *peersWorld, i int, addr string) (peerServer, error)
	push        func(w *peersWorld, n int) error // returns when it was taken
}

// peerServer is what harness.Node can, too.
type peerServer interface {
	Kill()
	Start() error
	WaitReady(context.Context) error
}

var peerClients = []peer{
	{"hydrant", "this one", "two nodes, NATS", hydrantServer, func(w *peersWorld, _ int) error { w.clientWorld.push(1); return nil }},
	{"partysocket", "partysocket", "two relays on `ws`, which keep nothing: it is a socket that comes back", nodeServer("plain"), publishAll},
	{"phoenix", "phoenix", "two relays of channels, which keep nothing, as those of Phoenix", nodeServer("phoenix"), publishAll},
	{"socketio", "socket.io", "two servers with state recovery, which a killed one has not saved, and their adapter in Redis", nodeServer("socketio"), publishOne},
	{"centrifuge", "centrifuge", "two Centrifugo 6.9.1, with history and recovery in Redis", centrifugoServer, publishCentrifugo},
}

// peersWorld is what the servers of a peer stand on.
type peersWorld struct {
	*clientWorld
	redis   string
	backend string // answers Centrifugo's requests
	addrs   []string
}

// TestE2EPeers prints what clients of other makers do under the kills of C10, and how
// large they are. It needs more than the other tests:
//
//	apt-get install redis-server && go install github.com/centrifugal/centrifugo/v6@v6.9.1
//	(cd integration/e2e/peers && npm ci)
//	go test -tags e2e,peers -run TestE2EPeers -v ./integration/e2e
func TestE2EPeers(t *testing.T) {
	var manifest struct{ DevDependencies map[string]string }
	text, err := os.ReadFile("peers/package.json")
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]string)
	for line := range strings.Lines(in(t, "peers", "node", "size.mjs")) {
		name, size, _ := strings.Cut(strings.TrimSpace(line), " ")
		sizes[name] = size
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n| Client | bytes | lost | twice | disorder | answered | failed | untold | Its servers |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range peerClients {
		t.Run(p.name, func(t *testing.T) {
			w := newPeersWorld(t)
			r := w.run(p)
			// One whose connections are lost soon after they were made waits longer and longer
			// before the next one, so that requests may come to the end of their time.
			if p.name == "hydrant" && (r != score{answered: r.answered, failed: r.failed}) {
				t.Errorf("%+v", r)
			}
			name := strings.TrimSpace(p.label + " " + manifest.DevDependencies[p.label])
			fmt.Fprintf(&table, "| %s | %s | %d | %d | %d | %d | %d | %d | %s |\n", name, sizes[p.name], r.lost, r.twice, r.disorder, r.answered, r.failed, r.untold, p.what)
		})
	}
	fmt.Println(table.String())
}

func newPeersWorld(t *testing.T) *peersWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	w := &peersWorld{clientWorld: &clientWorld{t: t, ctx: ctx}}
	var err error
	if w.nats, err = harness.StartNATS(ctx, harness.NATSOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.nats.Stop() }) // nothing of it is judged
	if w.nc, err = w.nats.Connect("test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.nc.Close)
	if w.js, err = jetstream.New(w.nc); err != nil {
		t.Fatal(err)
	}
	return w
}

// startRedis is for those that need it.
func (w *peersWorld) startRedis() error {
	if w.redis != "" {
		return nil
	}
	addr, err := harness.FreeAddr()
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(addr, ":")
	redis := &peerCommand{name: "redis", program: "redis-server", addr: addr, args: []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"}}
	if err := w.started(redis); err != nil {
		return err
	}
	w.redis = "redis://" + addr
	return nil
}

func (w *peersWorld) started(s peerServer) error {
	if err := s.Start(); err != nil {
		return err
	}
	w.t.Cleanup(s.Kill)
	return s.WaitReady(w.ctx)
}

// answersAfter is how long the service needs for a request, in all of them.
const answersAfter = 200 * time.Millisecond

// score is what became of pushes, and of requests: failed were told so.
type score struct{ lost, twice, disorder, answered, failed, untold int }

// serve starts the two servers of a peer.
func (w *peersWorld) serve(p peer) []peerServer {
	w.t.Helper()
	var servers []peerServer
	for i := range 2 {
		addr, err := harness.FreeAddr()
		if err != nil {
			w.t.Fatal(err)
		}
		w.addrs = append(w.addrs, addr)
		s, err := p.server(w, i, addr)
		if err == nil {
			err = w.started(s)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if node, ok := s.(*harness.Node); ok {
			w.addrs[i] = node.Addr
		}
		servers = append(servers, s)
	}
	return servers
}

// run is the rhythm of C10, with one peer, behind one address for both servers.
func (w *peersWorld) run(p peer) score {
	w.t.Helper()
	servers := w.serve(p)
	front := newFront(w.t, w.addrs)
	module := clientModule(w.t)
	if p.name != "hydrant" {
		module, _ = filepath.Abs(filepath.Join("peers", p.name+".mjs"))
	}
	w.place = newNodePlaceOf(w.clientWorld, module, "node22", "own")
	scheme := "ws://"
	if p.name == "socketio" {
		scheme = "http://"
	}
	w.eval(fmt.Sprintf(`page.start(%q, {})`, scheme+front.addr))
	w.until(`page.client.state === "open"`)
	w.session = value[string](w.clientWorld, `page.client.session ?? ""`)
	const all = 2000
	pushed := 0
	push := func(n int) {
		for range n {
			pushed++
			if err := harness.Until(w.ctx, func() error { return p.push(w, pushed) }); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for round := range rounds {
		ask := func(third int) {
			for i := asks / 3 * third; i < asks/3*(third+1); i++ {
				w.eval(fmt.Sprintf(`page.request("ask-%d-%d", "slow:/", {hello: "%d-%d"})`, round, i, round, i))
			}
		}
		ask(0)
		if round == rounds-1 {
			ask(1)
			ask(2)
			push(all - pushed)
			break
		}
		push(pushes / 2)
		i, n := front.last()
		ask(1) // nobody has answered these when it is killed
		servers[i].Kill()
		ask(2)
		push(pushes / 2)
		if err := harness.Until(w.ctx, func() error {
			if _, now := front.last(); now == n {
				return fmt.Errorf("it has not come back")
			}
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
		w.until(`page.client.state === "open"`)
		if err := w.started(servers[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	w.until(fmt.Sprintf(`page.numbers().includes(%d)`, all))
	return w.score(all)
}

// untoldAfter is when a request is taken for one that will have no outcome: all clients
// that know a bound have one of ten seconds at most.
const untoldAfter = 30 * time.Second

func (w *peersWorld) score(all int) (s score) {
	w.t.Helper()
	seen, most := make(map[int]bool), 0
	for _, n := range value[[]int](w.clientWorld, "page.numbers()") {
		switch {
		case seen[n]:
			s.twice++
		case n < most:
			s.disorder++
		}
		seen[n], most = true, max(most, n)
	}
	s.lost = all - len(seen)
	ctx, cancel := context.WithTimeout(w.ctx, untoldAfter)
	defer cancel()
	_ = harness.Until(ctx, func() error { // what has none then has none
		if n := value[int](w.clientWorld, "Object.keys(page.outcomes).length"); n < rounds*asks {
			return fmt.Errorf("%d outcomes", n)
		}
		return nil
	})
	s.untold = rounds * asks
	for name, outcomes := range value[map[string][]any](w.clientWorld, "page.outcomes") {
		s.untold--
		answer, _ := outcomes[0].(map[string]any)
		switch {
		case len(outcomes) == 1 && answer["hello"] == name[4:]:
			s.answered++
		case len(outcomes) == 1 && answer == nil:
			s.failed++
		default:
			w.t.Errorf("%s: %v", name, outcomes)
		}
	}
	return s
}
