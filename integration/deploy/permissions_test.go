package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/integration/harness"
)

// user connects with a user of accounts.conf. Violations are sent to the
// channel.
func user(t *testing.T, url, name string) (*nats.Conn, <-chan error) {
	t.Helper()
	violations := make(chan error, 64)
	nc, err := harness.ConnectNATS(url, nats.UserInfo(name, "secret-"+name), nats.ErrorHandler(
		func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, violations
}

// TestUsersCanDoNothingElse is the second half of S29: each is tried on a real
// server, which must refuse it.
func TestUsersCanDoNothingElse(t *testing.T) {
	url := startAccounts(t).ClientURL()
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

// TestAdministrators: the administrator of Hydrant's account has everything in
// it and nothing of the servers; the one of the servers sees no message.
func TestAdministrators(t *testing.T) {
	url := startAccounts(t).ClientURL()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	node, err := harness.StartNode(ctx, harness.NodeOptions{Name: "edge", NATS: url, Env: map[string]string{"NATS_USER": "edge", "NATS_PASSWORD": "secret-edge"}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := harness.Enter(ctx, node.URL("/"), harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	admin, violations := user(t, url, "admin")
	rows, err := store.ListSessions(ctx, admin, 10)
	if err != nil || len(rows) != 1 || string(rows[0].SID) != client.ID {
		t.Errorf("sessions %v, %v, want %s", rows, err, client.ID)
	}
	// Who runs the tool as a node's user is told, and does not wait.
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(ctx, bin.Hydrant, "sessions")
	list.Env = []string{"NATS_URL=" + url, "NATS_USER=edge", "NATS_PASSWORD=secret-edge"}
	var text bytes.Buffer
	list.Stdout, list.Stderr = &text, &text
	if err := harness.Run(list); err == nil || !strings.Contains(text.String(), "a node's user may not list sessions") {
		t.Errorf("sessions as a node's user: %v\n%s", err, text.Bytes())
	}
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(ctx, "UMF_OUT_0"); err != nil {
		t.Error(err)
	}
	const servers = "$SYS.REQ.SERVER.PING"
	if m, err := admin.RequestWithContext(ctx, servers, nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the account's administrator asks the servers: %v %v", m, err)
	}
	select {
	case err := <-violations:
		t.Errorf("admin: %v", err)
	default:
	}

	sys, _ := user(t, url, "sys")
	all, err := sys.SubscribeSync("umf.>")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.RequestWithContext(ctx, servers, nil); err != nil {
		t.Errorf("the servers' administrator: %v", err)
	}
	answer, err := client.Call(ctx, harness.Object{"to": "nosuch:/", "bdy": "x"})
	if err != nil || answer.Error() == "" {
		t.Fatalf("%s %v", answer.Raw, err)
	}
	if err := sys.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := all.Pending(); n != 0 || err != nil {
		t.Errorf("the servers' administrator saw %d messages, %v", n, err)
	}
}

// TestPermissionsAreWritten: edge.conf says what scheme.NodePermissions does, for
// all the streams that EDGE_MAILBOX_STREAMS can ask for. HYDRANT_WRITE=1
// writes it.
func TestPermissionsAreWritten(t *testing.T) {
	p := scheme.NodePermissions(32)
	var text strings.Builder
	list := func(what string, subjects []string) {
		fmt.Fprintf(&text, "  %s {\n    allow: [\n", what)
		for _, subject := range subjects {
			fmt.Fprintf(&text, "      %q\n", subject)
		}
		text.WriteString("    ]\n  }\n")
	}
	text.WriteString("# What the edge's user may do, and nothing else: bus.NodePermissions, which says\n" +
		"# why. Written by HYDRANT_WRITE=1 go test -run TestPermissionsAreWritten in\n# integration/deploy.\n{\n")
	list("publish", p.Publish)
	list("subscribe", p.Subscribe)
	fmt.Fprintf(&text, "  allow_responses: { max: %d, expires: \"10s\" }\n}\n", p.Responses)
	path := deployed(t, "nats/edge.conf")
	if os.Getenv("HYDRANT_WRITE") != "" {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != text.String() {
		t.Error("deploy/nats/edge.conf is not what bus.NodePermissions says: run this test with HYDRANT_WRITE=1")
	}
}
