package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
	"hydrant/umf"
)

// adminToken opens the administrators' part of the router API.
const adminToken = "administrators-token"

// setPasswords sets what nats.conf has from the environment.
func setPasswords(t *testing.T) {
	t.Helper()
	t.Setenv("NATS_ROUTES_PASSWORD", "secret-routes")
}

// startServer runs a server with a configuration, on a free port, storing in a
// folder of the test's.
func startServer(t *testing.T, options *server.Options) *server.Server {
	t.Helper()
	options.Host, options.HTTPPort = "127.0.0.1", 0
	options.JetStream, options.StoreDir = true, t.TempDir()
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(harness.Patience) {
		t.Fatal("the server does not start")
	}
	return s
}

// startAccounts runs a server with deploy/nats/accounts.conf as it is.
func startAccounts(t *testing.T) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(deployed(t, "nats/accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.Port = server.RANDOM_PORT
	s := startServer(t, options)
	hydrant(t, []string{"NATS_URL=" + s.ClientURL(), "NATS_USER=setup", "NATS_PASSWORD=laptop-setup"}, "setup", "-queues", "echo")
	return s
}

// copyConfig is deploy/nats in a folder of the test's, with TLS switched on as
// nats.conf says, and the certificates where the test has them.
func copyConfig(t *testing.T, certificates string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(deployed(t, "nats"))); err != nil {
		t.Fatal(err)
	}
	edit := func(name string, replace ...string) {
		text := read(t, filepath.Join(dir, name))
		if strings.Count(text, replace[0]) == 0 {
			t.Fatalf("%s has no %q", name, replace[0])
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.NewReplacer(replace...).Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("nats.conf", "# include ", "include ")
	edit("tls.conf", "/etc/nats/tls/", certificates+"/")
	edit("tls-routes.conf", "/etc/nats/tls/", certificates+"/")
	return dir
}

// startCluster runs three servers with nats.conf and TLS, and returns their
// URLs.
func startCluster(t *testing.T, certificates string) string {
	t.Helper()
	setPasswords(t)
	dir := copyConfig(t, certificates)
	var urls, addrs, routes []string
	for range 3 {
		for _, list := range []*[]string{&addrs, &urls} {
			addr, err := harness.FreeAddr()
			if err != nil {
				t.Fatal(err)
			}
			*list = append(*list, addr)
		}
		routes = append(routes, strconv.Quote("nats://route:secret-routes@"+addrs[len(addrs)-1]))
	}
	t.Setenv("NATS_ROUTES", "["+strings.Join(routes, ", ")+"]")
	started := make(chan *server.Server, 3)
	for i := range 3 {
		t.Setenv("NATS_NAME", fmt.Sprint("nats-", i+1))
		options, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
		if err != nil {
			t.Fatal(err)
		}
		if len(options.Routes) != 3 || options.SyncInterval != 10*time.Second || options.StoreDir != "/data" || options.TLSConfig == nil || options.Cluster.TLSConfig == nil {
			t.Errorf("nats.conf: routes %v, sync interval %v, store %q", options.Routes, options.SyncInterval, options.StoreDir)
		}
		options.Port, options.Cluster.Host, options.Cluster.Port = portOf(t, urls[i]), "127.0.0.1", portOf(t, addrs[i])
		started <- startServer(t, options)
		urls[i] = "tls://" + urls[i]
	}
	waiting, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for range 3 {
		s := <-started
		if err := harness.Until(waiting, func() error {
			if routes := s.NumRoutes(); !s.JetStreamIsCurrent() || routes == 0 {
				return fmt.Errorf("%s has %d routes and is not current", s.Name(), routes)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	hydrant(t, []string{"NATS_URL=" + strings.Join(urls, ","), "NATS_USER=setup", "NATS_PASSWORD=laptop-setup", "NATS_CA=" + certificates + "/ca.pem",
		"EDGE_QUEUE_LIMIT=400"}, "setup", "-queues", "echo")
	return strings.Join(urls, ",")
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestCluster: in the cluster of deploy/nats, with its accounts and TLS, a node
// can do with its user all that it has to (S29, first half), and so can a
// service with its own.
func TestCluster(t *testing.T) {
	certificates := makeCertificates(t)
	url := startCluster(t, certificates)
	ctx := t.Context()
	start := func(name string) *harness.Node {
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: name, NATS: url, Env: map[string]string{
			"NATS_USER": "edge", "NATS_PASSWORD": "laptop-edge", "NATS_CA": certificates + "/ca.pem",
			"EDGE_QUEUE_LIMIT": "400", "EDGE_ADMIN_TOKEN": adminToken,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	a, b := start("a"), start("b")
	service := startService(t, bus.Config{URL: url, User: "echo", Password: "laptop-echo", CA: certificates + "/ca.pem"})
	exercise(ctx, t, a, b)
	service.exercise(ctx, t, a)
	for _, p := range []*harness.Process{a.Process, b.Process} {
		if err := p.Terminate(ctx); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if text := string(p.Log.Since(0)); strings.Contains(strings.ToLower(text), "permissions violation") {
			t.Errorf("%s was refused something:\n%s", p.Name, text)
		}
	}
}

// service does everything that the SDK offers.
type service struct {
	*bus.Service
	work, opened chan string
}

func startService(t *testing.T, config bus.Config) *service {
	t.Helper()
	nc, err := bus.Connect(config, "echo", nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("service: %v", err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s := &service{work: make(chan string, 16), opened: make(chan string, 1024)}
	if s.Service, err = bus.NewService(nc, bus.ServiceConfig{Name: "echo", Version: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	answer := func(ctx context.Context, r *bus.Request) error { return r.Reply(ctx, r.Message.Body) }
	err = errors.Join(
		s.HandleAny(answer),
		s.HandleMethod("GET", "/x", answer),
		s.HandleWork(func(_ context.Context, r *bus.Request) error { s.work <- r.Message.Mid; return nil }, bus.WorkOptions{}),
		s.HandleEvent(bus.SessionOpened, func(_ context.Context, e bus.Event) { s.opened <- string(e.Session) }),
		s.Start())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// exercise does everything for which a service needs NATS, with a client of a
// node, and lists that client.
func (s *service) exercise(ctx context.Context, t *testing.T, node *harness.Node) {
	t.Helper()
	c, err := harness.Enter(ctx, node.URL("/"), harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(ctx, t, s.opened, c.ID)
	mid := c.Mid()
	if err := c.Send(harness.Object{"to": "hydra-router:/queue", "fwd": "echo:/", "frm": c.Address(), "mid": mid, "bdy": "work"}); err != nil {
		t.Fatal(err)
	}
	want(ctx, t, s.work, mid)
	for _, push := range []func(m *umf.Message) error{
		func(m *umf.Message) error { return s.Push(ctx, c.ID, m) },
		func(m *umf.Message) error { return s.PushLive(c.ID, m) },
	} {
		m, err := s.NewMessage(c.Address(), "pushed")
		if err != nil {
			t.Fatal(err)
		}
		if err := push(m); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Find(ctx, func(got harness.Message) bool { return got.Mid() == m.Mid }); err != nil {
			t.Error(err)
		}
	}
	wantListed(ctx, t, node, c.ID)
}

// exercise does on two nodes everything for which a node needs NATS.
func exercise(ctx context.Context, t *testing.T, a, b *harness.Node) {
	t.Helper()
	dial := func(n *harness.Node, o harness.DialOptions) *harness.Client {
		c, err := harness.Enter(ctx, n.URL("/"), o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	call := func(c *harness.Client, message harness.Object) harness.Message {
		answer, err := c.Call(ctx, message)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first, second := dial(a, harness.DialOptions{}), dial(b, harness.DialOptions{Acked: true})
	defer first.Close()
	// A service may need a moment to be there.
	waiting, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	if err := harness.Until(waiting, func() error {
		if answer := call(first, harness.Object{"to": "echo:/", "bdy": "hello"}); answer.Error() != "" {
			return errors.New(answer.Error())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	call(first, harness.Object{"to": "echo:[GET]/x", "bdy": harness.Object{"a": 1}})
	call(first, harness.Object{"to": "nosuch:/", "bdy": "x"})
	call(first, harness.Object{"to": "auth-svcs:/", "bdy": "x"})
	// Nodes that are busy answer late, or cannot say now.
	if err := harness.Until(waiting, func() error {
		if list := call(first, harness.Object{"to": "hydra-router:[GET]/v1/router/list/nodes", "bdy": "x"}); !strings.Contains(list.Body(), second.Router) {
			return fmt.Errorf("list of nodes %s lacks %s", list.Body(), second.Router)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	call(first, harness.Object{"to": "hydra-router:[GET]/v1/router/list/services", "bdy": "x"})
	work := harness.Object{"to": "hydra-router:/queue", "fwd": "echo:/", "frm": first.Address(), "mid": first.Mid(), "bdy": "work"}
	if err := first.Send(work); err != nil {
		t.Fatal(err)
	}
	// Nodes: take a session over while its old socket lives, then leave it
	// alone, and come back to a queue: of 400 messages one sender may have 40 there.
	thief := dial(a, harness.DialOptions{Acked: true})
	if answer, err := thief.Resume(ctx, "reconnect", harness.Object{"id": second.ID, "token": second.Token, "seq": "0"}); err != nil || answer.At("bdy", "resumed") != true {
		t.Fatalf("resume: %s %v", answer.Raw, err)
	}
	thief.Drop()
	for i := range 30 {
		if err := first.Send(harness.Object{"to": second.ID + "@client:/", "frm": first.Address(), "mid": first.Mid(), "bdy": i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	call(first, harness.Object{"to": "echo:/", "bdy": "fence"})
	last := dial(b, harness.DialOptions{Acked: true})
	defer last.Close()
	if answer, err := last.Resume(ctx, "reconnect", harness.Object{"id": second.ID, "token": second.Token, "seq": "0"}); err != nil || answer.At("bdy", "resumed") != true {
		t.Fatalf("resume: %s %v", answer.Raw, err)
	}
	if _, err := last.Find(ctx, func(m harness.Message) bool { return m.Body() == "30" }); err != nil {
		t.Fatal(err)
	}
	second.Drop()
}

// want returns when the channel has brought a certain text.
func want(ctx context.Context, t *testing.T, ch <-chan string, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	for {
		select {
		case got := <-ch:
			if got == text {
				return
			}
		case <-ctx.Done():
			t.Fatalf("%s did not reach the service", text)
		}
	}
}

// wantListed: the router API lists the sessions of the directory to who has
// the administrators' token.
func wantListed(ctx context.Context, t *testing.T, node *harness.Node, sids ...string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.HTTP("/v1/router/list/wsdir"), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, page, err := harness.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("list of sessions: %v %s", err, page)
	}
	for _, sid := range sids {
		if !strings.Contains(string(page), sid) {
			t.Errorf("the list of sessions lacks %s: %s", sid, page)
		}
	}
}
