package deploy

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// startAccounts runs a server with deploy/nats/accounts.conf as it is.
func startAccounts(t *testing.T) string {
	t.Helper()
	for _, user := range []string{"EDGE", "SERVICE", "ADMIN", "SYS"} {
		t.Setenv("NATS_"+user+"_PASSWORD", "secret-"+strings.ToLower(user))
	}
	options, err := server.ProcessConfigFile(deployed(t, "nats/accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port = "127.0.0.1", server.RANDOM_PORT
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
	return s.ClientURL()
}

// user connects with a user of accounts.conf. Violations are sent to the
// channel.
func user(t *testing.T, url, name string) (*nats.Conn, <-chan error) {
	t.Helper()
	violations := make(chan error, 64)
	nc, err := nats.Connect(url, nats.UserInfo(name, "secret-"+name), nats.ErrorHandler(
		func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, violations
}

// TestEdgePermissions: with its user a node can do all that it has to (S29,
// first half), and so can a service with its own.
func TestEdgePermissions(t *testing.T) {
	url := startAccounts(t)
	ctx := t.Context()
	start := func(env map[string]string) *harness.Node {
		all := map[string]string{"NATS_USER": "edge", "NATS_PASSWORD": "secret-edge", "EDGE_QUEUE_LIMIT": "20"}
		for k, v := range env {
			all[k] = v
		}
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: "edge", NATS: url, Env: all})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	a, b := start(nil), start(nil)
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	echo, err := harness.StartProcess("echo", bin.Hydrant, []string{"echo"},
		[]string{"NATS_URL=" + url, "NATS_USER=service", "NATS_PASSWORD=secret-service"}, log, log)
	if err != nil {
		t.Fatal(err)
	}
	exercise(ctx, t, a, b)
	for _, p := range []*harness.Process{a.Process, b.Process, echo} {
		if err := p.Terminate(ctx); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if text := string(p.Log.Since(0)); strings.Contains(strings.ToLower(text), "permissions violation") {
			t.Errorf("%s was refused something:\n%s", p.Name, text)
		}
	}
}

// exercise does on two nodes everything for which a node needs NATS.
func exercise(ctx context.Context, t *testing.T, a, b *harness.Node) {
	t.Helper()
	dial := func(n *harness.Node, o harness.DialOptions) *harness.Client {
		c, err := harness.Dial(ctx, n.URL("/"), o)
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
	if list := call(first, harness.Object{"to": "hydra-router:[GET]/v1/router/list/nodes", "bdy": "x"}); !strings.Contains(list.Body(), second.Router) {
		t.Errorf("list of nodes %s lacks %s", list.Body(), second.Router)
	}
	call(first, harness.Object{"to": "hydra-router:[GET]/v1/router/list/services", "bdy": "x"})
	work := harness.Object{"to": "hydra-router:/queue", "fwd": "echo:/", "frm": first.Address(), "mid": first.Mid(), "bdy": "work"}
	if err := first.Send(work); err != nil {
		t.Fatal(err)
	}
	// Nodes: take a session over while its old socket lives, then leave it
	// alone so long that messages are dropped, and come back to a queue.
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

// TestUsersCanDoNothingElse is the second half of S29: each is tried on a real
// server, which must refuse it.
func TestUsersCanDoNothingElse(t *testing.T) {
	url := startAccounts(t)
	forbidden := map[string]struct{ publish, subscribe []string }{
		"edge": {
			publish: []string{"foo", "umf.v2.svc.a", "umf.v1.svc.a.b", "umf.v1.live.a.b.c", "$JS.API.STREAM.CREATE.OTHER",
				"$JS.API.STREAM.DELETE.UMF_OUT_0", "$JS.API.STREAM.PURGE.UMF_OUT_0", "$JS.API.STREAM.MSG.DELETE.UMF_OUT_0",
				"$JS.API.STREAM.DELETE.KV_UMF_SESSIONS", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.UPDATE.OTHER",
				"$JS.API.CONSUMER.CREATE.OTHER.c", "$JS.API.CONSUMER.CREATE.UMF_WORK.c.umf.v1.work.echo", "$JS.API.DIRECT.GET.OTHER",
				"$JS.API.STREAM.RESTORE.X", "$JS.API.STREAM.SNAPSHOT.UMF_OUT_0", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.ACCOUNT.PURGE.X",
				"$KV.OTHER.key", "$SYS.REQ.SERVER.PING", "_INBOX.of.somebody", "$JS.ACK.UMF_WORK.c.1.1.1.1.1"},
			subscribe: []string{">", "umf.>", "umf.v1.>", "umf.v1.svc.echo", "umf.v1.out.*.*", "umf.v1.work.*", "$KV.>", "$JS.API.>", "$SYS.>", "foo"},
		},
		"service": {
			publish: []string{"foo", "$KV.UMF_SESSIONS.aaaaaaaaaaaaaaaaaaaaaaaaaa", "umf.v1.node.0123456789abcdef0123456789abcdef",
				"umf.v1.evt.session.opened.a.b", "$JS.API.STREAM.MSG.GET.UMF_OUT_0", "$JS.API.DIRECT.GET.UMF_OUT_0",
				"$JS.API.CONSUMER.CREATE.UMF_OUT_0.c", "$JS.API.STREAM.UPDATE.UMF_OUT_0", "$JS.API.STREAM.DELETE.UMF_WORK",
				"$JS.API.DIRECT.GET.KV_UMF_SESSIONS.$KV.UMF_SESSIONS.x", "$SYS.REQ.SERVER.PING"},
			subscribe: []string{">", "umf.v1.>", "umf.v1.live.*.*", "umf.v1.out.*.*", "umf.v1.node.*", "umf.v1.req.*.*", "$KV.>"},
		},
	}
	for name, wishes := range forbidden {
		nc, violations := user(t, url, name)
		refused := func(what string) {
			t.Helper()
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-violations:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			case <-time.After(harness.Patience):
				t.Errorf("%s may %s", name, what)
			}
		}
		for _, subject := range wishes.publish {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			refused("publish " + subject)
		}
		for _, subject := range wishes.subscribe {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			refused("subscribe " + subject)
		}
	}
	if _, err := nats.Connect(url); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a user: %v", err)
	}
}

// TestPermissionsAreGenerated: edge.conf is what its generator writes.
func TestPermissionsAreGenerated(t *testing.T) {
	out := filepath.Join(t.TempDir(), "edge.conf")
	if text, err := exec.CommandContext(t.Context(), "bash", deployed(t, "nats/permissions.sh"), out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if read(t, out) != read(t, deployed(t, "nats/edge.conf")) {
		t.Error("deploy/nats/edge.conf is not what deploy/nats/permissions.sh writes: run it")
	}
}

// TestClusterConfig: nats.conf is one that the server takes.
func TestClusterConfig(t *testing.T) {
	for name, value := range map[string]string{
		"NATS_NAME": "nats-1", "NATS_ROUTES_PASSWORD": "r", "NATS_EDGE_PASSWORD": "e", "NATS_SERVICE_PASSWORD": "s",
		"NATS_ADMIN_PASSWORD": "a", "NATS_SYS_PASSWORD": "y",
		"NATS_ROUTES": `["nats://route:r@nats-1:6222", "nats://route:r@nats-2:6222", "nats://route:r@nats-3:6222"]`,
	} {
		t.Setenv(name, value)
	}
	options, err := server.ProcessConfigFile(deployed(t, "nats/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if len(options.Routes) != 3 || options.ServerName != "nats-1" || options.SyncInterval != 10*time.Second || options.StoreDir != "/data" {
		t.Errorf("routes %v, name %q, sync interval %v, store %q", options.Routes, options.ServerName, options.SyncInterval, options.StoreDir)
	}
}
